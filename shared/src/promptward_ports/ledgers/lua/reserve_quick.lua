
-- The way most reservations go: nothing is due, every window is `fixed` or `sliding` and its slot of this
-- moment is there, and all lines fit. Answers as reserve.lua does, or nothing: then nothing was written,
-- and reserve.lua decides. Less than half of its time, because it builds no tables of buckets and the
-- functions that do are not even defined.

-- Of a line's bucket that has room for it: its row with the charge, the slot charged, and what to show.
-- `held_now` of the amount is open; the bucket is needed until `needed`.
local function charge(row, limit, amount, soft, held_now, needed)
  local kind, duration, known_limit, raised, raised_until, seen, last, _, era, forget, count =
    read(BUCKET, row)
  if kind > SLIDING or count == 0 or now < seen or limit ~= known_limit
    or forget < needed or forget < raised_until then return end
  local slot, charged, held, total, open, reset
  if kind == FIXED then
    slot, charged, held = read('<ddd', row, SLOTS_AT)
    if now < slot or now >= last or forget < last then return end
    charged, held = charged + amount, held + held_now
    total, open, reset = charged, min(held, charged), charged > 0 and last - now or 0
  else
    local slots, slice = sliding_slots(row, duration, count)
    if not slots then return end
    local n = #slots
    slot = slots[n - 2]
    if slot ~= floor(now / slice) or forget < (slot + SLICES + 1) * slice then return end
    charged, held = slots[n - 1] + amount, slots[n] + held_now
    slots[n - 1], slots[n] = charged, held
    total, open, reset = sum_of(slots, slice)
  end
  if now < raised_until and raised > limit then limit = raised end
  if soft == 0 and total > limit then return end
  return patched(row, count, charged, held), slot, era, pack('<dddd', limit, total - open, open, reset)
end

local function quick()
  if #call('ZRANGEBYSCORE', due_key, '-inf', now, 'LIMIT', '0', sweep_at_most) > 0 then return end
  local field, fields, count = ARGV[3], {ARGV[3]}, #ARGV - 3
  for i = 1, count do fields[i + 1] = read('<I2c0', ARGV[i + 3], LINE_FIELD) end
  local rows = call('HMGET', rows_key, unpack(fields))
  if rows[1] then return end
  local ttl, charge_now = read('<dd', ARGV[2])
  local state, due, needed = OPEN, now + ttl, now + ttl + keep_us
  if charge_now == 1 then state, due, needed = CHARGED, now + keep_us, now + keep_us end
  local written, amounts, outcome, holds = {}, {}, {}, {}
  for i = 1, count do
    if not rows[i + 1] then return end
    local limit, amount, soft, _, _, _, _, bucket, budget = read(LINE, ARGV[i + 3])
    local row, slot, era, level = charge(rows[i + 1], limit, amount, soft,
      state == OPEN and amount or 0, needed)
    if not row then return end
    written[2 * i - 1], written[2 * i] = bucket, row
    amounts[i], outcome[i] = amount, level
    holds[i] = pack(HOLD, slot, era, #bucket, bucket, #budget, budget)
  end
  local granted = table.concat(outcome)
  written[2 * count + 1], written[2 * count + 2] = field, pack('<ddd', state, due, count)
    .. pack('<' .. string.rep('d', count), unpack(amounts)) .. granted .. table.concat(holds)
  call('HSET', rows_key, unpack(written))
  call('ZADD', due_key, due, field)
  return '\1' .. granted
end

local answer = quick()
if answer then return answer end

