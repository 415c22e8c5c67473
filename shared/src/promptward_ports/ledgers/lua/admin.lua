
-- ARGV: common, operation, then its own. What operators ask, and what tests read.

local operations = {}

-- Answers how many rows were looked after.
function operations.sweep()
  return sweep()
end

-- ARGV: bucket's field. Answers 4 doubles (limit, spent, reserved, reset) and meta; empty when unknown.
function operations.read()
  local row = call('HGET', rows_key, ARGV[3])
  if not row then return '' end
  local b = parse_bucket(row)
  local limit, spent, reserved, reset = weigh(b, roll(b))
  local meta = meta_of(b, row)
  return pack('<ddddI2c0', limit, spent, reserved, reset, #meta, meta)
end

-- ARGV: bucket's field, limit and microseconds as doubles. Answers 1, or 0 when unknown.
operations['raise'] = function()
  local row = call('HGET', rows_key, ARGV[3])
  if not row then return 0 end
  local b = parse_bucket(row)
  local limit, duration = read('<dd', ARGV[4])
  b[B_RAISED] = limit
  b[B_RAISED_UNTIL] = now + duration
  keep_bucket(ARGV[3], b, 0, row)
  write()
  return 1
end

-- ARGV: bucket's field. Answers 1, or 0 when unknown.
function operations.reset()
  local row = call('HGET', rows_key, ARGV[3])
  if not row then return 0 end
  local b = parse_bucket(row)
  local slots = b[B_SLOTS]
  for i = 1, #slots, 3 do slots[i + 1] = min(slots[i + 1], slots[i + 2]) end
  keep_bucket(ARGV[3], b, 0, row)
  write()
  return 1
end

-- ARGV: reservation's field. Answers state, then meta and amount (a double) in turn; or nothing when
-- unknown.
function operations.entry()
  local row = call('HGET', rows_key, ARGV[3])
  if not row then return {} end
  local r = parse_reservation(row)
  local reply = {r[R_STATE]}
  for i, h in ipairs(r[R_HOLDS]) do
    local bucket = call('HGET', rows_key, h[H_BUCKET])
    if bucket then
      reply[#reply + 1] = meta_of(parse_bucket(bucket), bucket)
      reply[#reply + 1] = pack('<d', r[R_AMOUNTS][i])
    end
  end
  return reply
end

return operations[ARGV[2]]()
