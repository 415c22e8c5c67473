
-- KEYS: rows, due. ARGV: common, ttl and charge_now (0, 1) as doubles, reservation's field, then per line:
-- 7 doubles (limit, amount, soft, type, duration, window start, window end), the bucket's field and the
-- budget's name, each behind a 2-byte length, meta as JSON.
-- Answers one string. Its first byte is 1 granted, 0 refused (then line and wait as doubles), 2 another
-- time's bounds needed (line and time as doubles); then 4 doubles per line: limit, spent, reserved,
-- reset. 3 is a known request: its first outcome, each line with its meta behind a 2-byte length.

-- Microseconds until `amount` fits; 0 now, -1 never
local function wait_us(b, time, amount)
  local limit = limit_at(b, time)
  if amount > limit then return -1 end
  local slots, over = b[B_SLOTS], amount - limit
  for i = 2, #slots, 3 do over = over + slots[i] end
  if over <= 0 then return 0 end
  local kind = b[B_TYPE]
  if kind == FIXED then return b[B_END] - time end
  if kind == SLIDING then return cold().sliding_wait(b, time, over) end
  if kind == TOKEN_BUCKET then return cold().refill_time(b, limit, over) or -1 end
  return RETRY_US
end

local field, first_line, count = ARGV[3], 3, #ARGV - 3
local lines, fields = {}, {field}
for i = 1, count do
  local line = {read(LINE, ARGV[first_line + i])}
  lines[i], fields[i + 1] = line, line[8]
end
sweep()
local rows = call('HMGET', rows_key, unpack(fields))
local r = known(field, rows[1])
if r then
  local parts = {'\3'}
  for i, h in ipairs(r[R_HOLDS]) do
    local row = call('HGET', rows_key, h[H_BUCKET])
    local meta = row and meta_of(parse_bucket(row), row) or ''
    local outcome = sub(r[R_REST], OUTCOME_BYTES * (i - 1) + 1, OUTCOME_BYTES * i)
    parts[i + 1] = outcome .. pack('<I2c0', #meta, meta)
  end
  return table.concat(parts)
end

local buckets, times = {}, {}
local worst, worst_wait
for i = 1, count do
  local line, row = lines[i], rows[i + 1]
  local b
  if row then
    b = parse_bucket(row)
  else
    b = {line[4], line[5], 0, 0, 0, 0, 0, 0, 0, 0, {}, line[10]}
    rows[i + 1] = ARGV[first_line + i]
  end
  b[B_LIMIT] = line[1]
  local era = b[B_ERA]
  local time, needed = roll(b, line[6], line[7])
  if not time then
    write()
    return '\2' .. pack('<dd', i - 1, needed)
  end
  -- Also when the request is refused, or each refusal would move the use to a new present.
  if b[B_ERA] ~= era then keep_bucket(line[8], b, 0, rows[i + 1]) end
  buckets[i], times[i] = b, time
  if line[3] == 0 then
    local wait = wait_us(b, time, line[2])
    if wait ~= 0 and worst_wait ~= -1 and (not worst or wait == -1 or wait > worst_wait) then
      worst, worst_wait = i, wait
    end
  end
end

local outcome = {}
if worst then
  write()
  for i = 1, count do outcome[i] = pack('<dddd', weigh(buckets[i], times[i])) end
  return '\0' .. pack('<dd', worst - 1, worst_wait) .. table.concat(outcome)
end

local open_us, charge_now = read('<dd', ARGV[2])
local state, due = OPEN, now + open_us
if charge_now == 1 then state, due, open_us = CHARGED, now + keep_us, 0 end
local charged, holds = {}, {}
for i = 1, count do
  local b, line, time = buckets[i], lines[i], times[i]
  if b[B_TYPE] == SLIDING then cold().slice(b, time) end
  local slots, amount = b[B_SLOTS], line[2]
  local n = #slots
  slots[n - 1] = slots[n - 1] + amount
  if state == OPEN then slots[n] = slots[n] + amount end
  keep_bucket(line[8], b, open_us, rows[i + 1])
  charged[i] = amount
  outcome[i] = pack('<dddd', weigh(b, time))
  -- A token bucket's charge is dated: what refilled since then is not given back.
  local slot = b[B_TYPE] == TOKEN_BUCKET and time or slots[n - 2]
  holds[i] = pack(HOLD, slot, b[B_ERA], #line[8], line[8], #line[9], line[9])
end
local granted = table.concat(outcome)
keep_row(field, due, pack('<ddd', state, due, count)
  .. pack('<' .. string.rep('d', count), unpack(charged)) .. granted
  .. table.concat(holds))
write()
return '\1' .. granted
