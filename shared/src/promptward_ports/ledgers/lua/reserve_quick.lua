
-- The way most reservations go: nothing is due, every line has a `fixed` window that is current, and all
-- fit. Answers as reserve.lua does, or nothing: then nothing was written, and reserve.lua decides. A
-- third of its time, because it builds no tables of buckets and defines no functions.

local function quick()
  if #call('ZRANGEBYSCORE', due_key, '-inf', now, 'LIMIT', '0', sweep_at_most) > 0 then return end
  local field, fields, count = ARGV[3], {ARGV[3]}, #ARGV - 3
  for i = 1, count do fields[i + 1] = read('<I2c0', ARGV[i + 3], LINE_FIELD) end
  local rows = call('HMGET', rows_key, unpack(fields))
  if rows[1] then return end
  local due = now + read('<d', ARGV[2])
  local written, charged, outcome, holds = {}, {}, {}, {}
  for i = 1, count do
    local row = rows[i + 1]
    if not row or #row < BUCKET_1_BYTES then return end
    local limit, amount, soft, _, _, _, _, bucket, budget = read(LINE, ARGV[i + 3])
    local kind, duration, _, raised, raised_until, seen, last, carry, era, forget, slots, first,
      total, open, meta = read(BUCKET_1, row)
    if kind ~= FIXED or slots ~= 1 or now < seen or now < first or now >= last
      or forget < due + keep_us or forget < last or forget < raised_until then return end
    local allowed = limit
    if now < raised_until and raised > limit then allowed = raised end
    total, open = total + amount, open + amount
    if soft == 0 and total > allowed then return end
    written[2 * i - 1] = bucket
    written[2 * i] = pack(BUCKET_1, kind, duration, limit, raised, raised_until, now, last, carry, era,
      forget, 1, first, total, open) .. sub(row, meta)
    local shown = min(open, total)
    outcome[i] = pack('<dddd', allowed, total - shown, shown, total > 0 and last - now or 0)
    charged[i] = amount
    holds[i] = pack(HOLD, first, era, #bucket, bucket, #budget, budget)
  end
  local granted = table.concat(outcome)
  written[2 * count + 1], written[2 * count + 2] = field, pack('<ddd', OPEN, due, count)
    .. pack('<' .. string.rep('d', count), unpack(charged)) .. granted .. table.concat(holds)
  call('HSET', rows_key, unpack(written))
  call('ZADD', due_key, due, field)
  return '\1' .. granted
end

local answer = quick()
if answer then return answer end

