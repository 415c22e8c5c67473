
-- The way most settlements go: the reservation is open, and each of its holds is in a `fixed` window that
-- is still current. Answers as settle.lua does, or nothing: then nothing was written.

local function quick()
  local field = ARGV[2]
  local reservation = call('HGET', rows_key, field)
  if not reservation then return '' end
  local state, due, count, at = read('<ddd', reservation)
  if state ~= OPEN or now >= due then return end
  local amounts_at, rest = at, at + 8 * count
  at = rest + OUTCOME_BYTES * count
  local firsts, eras, fields, budgets, used = {}, {}, {}, {}, {}
  for i = 1, count do firsts[i], eras[i], fields[i], budgets[i], at = read(HOLD, reservation, at) end
  for i = 3, #ARGV, 2 do used[ARGV[i]] = read('<d', ARGV[i + 1]) end
  local rows = call('HMGET', rows_key, unpack(fields))
  local written, charged, parts, forgotten = {}, {}, {}, now + keep_us
  for i = 1, count do
    local row = rows[i]
    if not row or #row < BUCKET_1_BYTES then return end
    local kind, duration, limit, raised, raised_until, seen, last, carry, era, forget, slots, first,
      total, open, meta = read(BUCKET_1, row)
    if kind ~= FIXED or slots ~= 1 or era ~= eras[i] or first ~= firsts[i] or now < seen
      or now < first or now >= last or forget < forgotten or forget < last
      or forget < raised_until then return end
    local estimate, actual = read('<d', reservation, amounts_at + 8 * (i - 1)), used[budgets[i]] or 0
    total, open = max(0, total + actual - estimate), max(0, open - estimate)
    meta = sub(row, meta)
    written[2 * i - 1] = fields[i]
    written[2 * i] = pack(BUCKET_1, kind, duration, limit, raised, raised_until, now, last, carry, era,
      forget, 1, first, total, open) .. meta
    if now < raised_until and raised > limit then limit = raised end
    local shown = min(open, total)
    parts[i] = pack('<ddddI2c0', limit, total - shown, shown, total > 0 and last - now or 0, #meta,
      meta)
    charged[i] = actual
  end
  written[2 * count + 1], written[2 * count + 2] = field, pack('<ddd', SETTLED, forgotten, count)
    .. pack('<' .. string.rep('d', count), unpack(charged)) .. sub(reservation, rest)
  call('HSET', rows_key, unpack(written))
  call('ZADD', due_key, forgotten, field)
  return table.concat(parts)
end

local answer = quick()
if answer then return answer end

