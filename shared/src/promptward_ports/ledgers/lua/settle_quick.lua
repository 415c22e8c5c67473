
-- The way most settlements go: the reservation is open, and each of its holds is in a slot that a `fixed`
-- or `sliding` window still has. Answers as settle.lua does, or nothing: then nothing was written.

-- Of a hold's bucket: its row with the estimate replaced, and what to show
local function correct(row, slot, held_era, estimate, actual, forgotten)
  local kind, duration, limit, raised, raised_until, seen, last, _, era, forget, count =
    read(BUCKET, row)
  if kind > SLIDING or count == 0 or now < seen or era ~= held_era
    or forget < forgotten or forget < raised_until then return end
  local k, charged, held, total, open, reset = 1
  if kind == FIXED then
    local first
    first, charged, held = read('<ddd', row, SLOTS_AT)
    if first ~= slot or now < first or now >= last or forget < last then return end
    charged, held = max(0, charged + actual - estimate), max(0, held - estimate)
    total, open, reset = charged, min(held, charged), charged > 0 and last - now or 0
  else
    local slots, slice = sliding_slots(row, duration, count)
    if not slots or forget < (slots[#slots - 2] + SLICES + 1) * slice then return end
    k = count
    while k > 0 and slots[3 * k - 2] ~= slot do k = k - 1 end
    if k == 0 then return end
    charged = max(0, slots[3 * k - 1] + actual - estimate)
    held = max(0, slots[3 * k] - estimate)
    slots[3 * k - 1], slots[3 * k] = charged, held
    total, open, reset = sum_of(slots, slice)
  end
  if now < raised_until and raised > limit then limit = raised end
  local meta = sub(row, SLOTS_AT + 24 * count)
  return patched(row, k, charged, held),
    pack('<ddddI2c0', limit, total - open, open, reset, #meta, meta)
end

local function quick()
  local field = ARGV[2]
  local reservation = call('HGET', rows_key, field)
  if not reservation then return '' end
  local state, due, count, at = read('<ddd', reservation)
  if state ~= OPEN or now >= due then return end
  local amounts_at, rest = at, at + 8 * count
  at = rest + OUTCOME_BYTES * count
  local slots, eras, fields, budgets, used = {}, {}, {}, {}, {}
  for i = 1, count do slots[i], eras[i], fields[i], budgets[i], at = read(HOLD, reservation, at) end
  for i = 3, #ARGV, 2 do used[ARGV[i]] = read('<d', ARGV[i + 1]) end
  local rows = call('HMGET', rows_key, unpack(fields))
  local written, charged, parts, forgotten = {}, {}, {}, now + keep_us
  for i = 1, count do
    if not rows[i] then return end
    local estimate, actual = read('<d', reservation, amounts_at + 8 * (i - 1)), used[budgets[i]] or 0
    local row, part = correct(rows[i], slots[i], eras[i], estimate, actual, forgotten)
    if not row then return end
    written[2 * i - 1], written[2 * i] = fields[i], row
    charged[i], parts[i] = actual, part
  end
  written[2 * count + 1], written[2 * count + 2] = field, pack('<ddd', SETTLED, forgotten, count)
    .. pack('<' .. string.rep('d', count), unpack(charged)) .. sub(reservation, rest)
  call('HSET', rows_key, unpack(written))
  call('ZADD', due_key, forgotten, field)
  return table.concat(parts)
end

local answer = quick()
if answer then return answer end

