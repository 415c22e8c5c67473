-- The budget ledger as one atomic script: the arithmetic of promptward/ledger/windows.py and the
-- flow of promptward/ledger/book.py, statement for statement. Change both or neither.
--
-- All keys of a call carry the same hash tag (the tenant), so one Redis Cluster node runs it.
--   <prefix>:{tag}:due        sorted set: reservation key by the microsecond it falls due
--   <prefix>:{tag}:r:<id>     reservation, MessagePack: R_* fields, then holds of H_* fields
--   <prefix>:{tag}:b:<id>     bucket, MessagePack: B_* fields; slots flat {id, total, open, ...}
-- Numbers are integers below 2^53, which Lua's doubles hold exactly.

local B_META, B_TYPE, B_DURATION, B_LIMIT, B_RAISED, B_RAISED_UNTIL, B_SEEN, B_END, B_CARRY, B_ERA,
  B_FORGET, B_SLOTS = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local R_ID, R_TENANT, R_STATE, R_DUE, R_HOLDS = 1, 2, 3, 4, 5
local H_BUCKET, H_BUDGET, H_META, H_AMOUNT, H_SLOT, H_ERA, H_LIMIT, H_SPENT, H_RESERVED, H_RESET =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10

local SLICES = 32
local RETRY_US = 1000000
local MAX_WAIT_US = 1000000000000000
local IDLE_US = 86400000000 -- rows of a tenant that fell silent vanish a day after they fell due

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local call = redis.call
local pack, unpack_ = cmsgpack.pack, cmsgpack.unpack

-- divmod(a * b, d), exact also where a * b is beyond 2^53 (binary long multiplication).
local function divmod_product(a, b, d)
  local product = a * b
  if product < 9007199254740992 then
    local rest = product % d
    return (product - rest) / d, rest
  end
  local q, r = 0, 0
  local qn = floor(a / d)
  local rn = a - qn * d
  while b > 0 do
    if b % 2 == 1 then
      q = q + qn
      r = r + rn
      if r >= d then q = q + 1; r = r - d end
    end
    b = floor(b / 2)
    qn = qn * 2
    rn = rn * 2
    if rn >= d then qn = qn + 1; rn = rn - d end
  end
  return q, r
end

local function limit_at(b, now)
  if now < b[B_RAISED_UNTIL] then return max(b[B_LIMIT], b[B_RAISED]) end
  return b[B_LIMIT]
end

local function slice_us(b) return floor(b[B_DURATION] / SLICES) end

local function total_of(b)
  local slots, total = b[B_SLOTS], 0
  for i = 2, #slots, 3 do total = total + slots[i] end
  return total
end

local function present(b, now)
  local behind = b[B_SEEN] - now
  if behind <= 0 or b[B_TYPE] == 'concurrent' then
    b[B_SEEN] = now
    return now
  end
  if behind <= b[B_DURATION] then return b[B_SEEN] end
  b[B_SEEN] = now
  b[B_ERA] = b[B_ERA] + 1
  local slots = b[B_SLOTS]
  for i = 3, #slots, 3 do slots[i] = 0 end
  if b[B_TYPE] == 'sliding' and #slots > 0 then
    local shift = slots[#slots - 2] - floor(now / slice_us(b))
    for i = 1, #slots, 3 do slots[i] = slots[i] - shift end
  elseif b[B_TYPE] == 'token_bucket' and #slots > 0 then
    slots[1] = now
  elseif b[B_TYPE] == 'fixed' then
    b[B_END] = 0
  end
  return now
end

local function refill(b, now)
  local slots = b[B_SLOTS]
  if #slots == 0 then
    b[B_SLOTS] = {now, 0, 0}
    return
  end
  local units, rest = divmod_product(max(0, now - slots[1]), limit_at(b, now), b[B_DURATION])
  rest = rest + b[B_CARRY]
  if rest >= b[B_DURATION] then units = units + 1; rest = rest - b[B_DURATION] end
  b[B_CARRY] = rest
  slots[1] = max(slots[1], now)
  slots[2] = max(0, slots[2] - units)
  if slots[2] == 0 then b[B_CARRY] = 0 end
end

-- Returns the bucket's own present, or nil and that time when the caller's bounds do not hold it.
-- Without bounds a fixed window that is over is left without slots.
local function roll(b, now, first, last)
  now = present(b, now)
  local kind, slots = b[B_TYPE], b[B_SLOTS]
  if kind == 'fixed' then
    if #slots > 0 and slots[1] <= now and now < b[B_END] then return now end
    local rebased = #slots > 0 and b[B_END] == 0
    if not first then
      if not rebased then b[B_SLOTS] = {} end
      return now
    end
    if now < first or now >= last then return nil, now end
    b[B_END] = last
    b[B_SLOTS] = {first, rebased and slots[2] or 0, 0}
  elseif kind == 'sliding' then
    local oldest = floor(now / slice_us(b)) - SLICES
    if #slots > 0 and slots[1] < oldest then
      local kept = {}
      for i = 1, #slots, 3 do
        if slots[i] >= oldest then
          kept[#kept + 1] = slots[i]
          kept[#kept + 1] = slots[i + 1]
          kept[#kept + 1] = slots[i + 2]
        end
      end
      b[B_SLOTS] = kept
    end
  elseif kind == 'token_bucket' then
    refill(b, now)
  elseif #slots == 0 then
    b[B_SLOTS] = {0, 0, 0}
  end
  return now
end

local function sliding_wait(b, now, over)
  local slots, freed, leaves = b[B_SLOTS], 0, now
  for i = 1, #slots, 3 do
    freed = freed + slots[i + 1]
    leaves = (slots[i] + SLICES + 1) * slice_us(b)
    if freed >= over then break end
  end
  return max(0, leaves - now)
end

local function refill_time(b, limit, units)
  if limit <= 0 then return nil end
  local q, r = divmod_product(units, b[B_DURATION], limit)
  return min(MAX_WAIT_US, max(0, q + ceil((r - b[B_CARRY]) / limit)))
end

-- limit, spent, reserved, reset of a rolled bucket
local function weigh(b, now)
  local slots, total, open = b[B_SLOTS], 0, 0
  for i = 1, #slots, 3 do
    total = total + slots[i + 1]
    open = open + slots[i + 2]
  end
  open = min(open, total)
  local limit, reset = limit_at(b, now), 0
  if total > 0 then
    local kind = b[B_TYPE]
    if kind == 'fixed' then reset = max(0, b[B_END] - now)
    elseif kind == 'sliding' then reset = sliding_wait(b, now, 1)
    elseif kind == 'token_bucket' then reset = refill_time(b, limit, total) or 0
    end
  end
  return limit, total - open, open, reset
end

-- Microseconds until `amount` fits; 0 now, -1 never
local function wait_us(b, now, amount)
  local limit = limit_at(b, now)
  if amount > limit then return -1 end
  local over = total_of(b) + amount - limit
  if over <= 0 then return 0 end
  local kind = b[B_TYPE]
  if kind == 'fixed' then return b[B_END] - now end
  if kind == 'sliding' then return sliding_wait(b, now, over) end
  if kind == 'token_bucket' then return refill_time(b, limit, over) or -1 end
  return RETRY_US
end

local function charge(b, now, amount)
  local slots = b[B_SLOTS]
  if b[B_TYPE] == 'sliding' then
    local current = floor(now / slice_us(b))
    if #slots == 0 or slots[#slots - 2] ~= current then
      slots[#slots + 1] = current
      slots[#slots + 1] = 0
      slots[#slots + 1] = 0
    end
  end
  local at = #slots - 2
  slots[at + 1] = slots[at + 1] + amount
  slots[at + 2] = slots[at + 2] + amount
  if b[B_TYPE] == 'token_bucket' then return now end
  return slots[at]
end

local function find_slot(b, id)
  local slots = b[B_SLOTS]
  if b[B_TYPE] == 'token_bucket' or b[B_TYPE] == 'concurrent' then
    if #slots > 0 then return 1 end
    return nil
  end
  for i = #slots - 2, 1, -3 do
    if slots[i] == id then return i end
  end
  return nil
end

local function correct(b, at, now, charged, change)
  if change < 0 and b[B_TYPE] == 'token_bucket' then
    local q, r = divmod_product(max(0, now - charged), limit_at(b, now), b[B_DURATION])
    if r > 0 then q = q + 1 end
    change = min(0, change + q)
  end
  local slots = b[B_SLOTS]
  slots[at + 1] = max(0, slots[at + 1] + change)
end

-- Closes an open estimate; `actual` nil expires it.
local function close_hold(b, now, slot, estimate, actual)
  local at = find_slot(b, slot)
  if not at then return end
  local slots = b[B_SLOTS]
  slots[at + 2] = max(0, slots[at + 2] - estimate)
  if b[B_TYPE] == 'concurrent' then
    slots[at + 1] = max(0, slots[at + 1] - estimate)
  elseif actual then
    correct(b, at, now, slot, actual - estimate)
  end
end

local function quiet_us(b)
  local kind, slots, quiet = b[B_TYPE], b[B_SLOTS], b[B_SEEN]
  if kind == 'fixed' then
    quiet = b[B_END]
  elseif kind == 'sliding' then
    quiet = ((#slots > 0 and slots[#slots - 2] or 0) + SLICES + 1) * slice_us(b)
  elseif kind == 'token_bucket' and #slots > 0 then
    quiet = slots[1] + (refill_time(b, b[B_LIMIT], slots[2]) or 0)
  end
  return max(quiet, b[B_RAISED_UNTIL])
end

local function set_until(key, value, until_us, now)
  call('SET', key, value, 'PX', string.format('%.0f', max(1000, ceil((until_us - now) / 1000))))
end

local function save_bucket(key, b, now, keep_us)
  b[B_FORGET] = max(b[B_FORGET], quiet_us(b), b[B_SEEN] + keep_us)
  set_until(key, pack(b), b[B_FORGET], now)
end

local function save_reservation(key, due_key, r, now)
  set_until(key, pack(r), r[R_DUE] + IDLE_US, now)
  call('ZADD', due_key, string.format('%.0f', r[R_DUE]), key)
  call('PEXPIRE', due_key, string.format('%.0f', ceil((max(0, r[R_DUE] - now) + IDLE_US) / 1000)))
end

local function load(key)
  local packed = call('GET', key)
  if packed then return unpack_(packed) end
  return nil
end

local function expire(key, due_key, r, now, keep_us)
  for _, h in ipairs(r[R_HOLDS]) do
    local b = load(h[H_BUCKET])
    if b then
      local at = roll(b, now)
      if h[H_ERA] == b[B_ERA] then
        close_hold(b, at, h[H_SLOT], h[H_AMOUNT], nil)
        save_bucket(h[H_BUCKET], b, now, keep_us)
      end
    end
  end
  r[R_STATE] = 'expired'
  r[R_DUE] = now + keep_us
  save_reservation(key, due_key, r, now)
end

local function sweep(due_key, now, keep_us, at_most)
  local due = call('ZRANGEBYSCORE', due_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, at_most)
  for _, key in ipairs(due) do
    local r = load(key)
    if r and r[R_STATE] == 'open' then
      expire(key, due_key, r, now, keep_us)
    else
      if r then call('DEL', key) end
      call('ZREM', due_key, key)
    end
  end
  return #due
end

-- The reservation as of now, also when the sweep has not come to it yet.
local function known(key, due_key, now, keep_us)
  local r = load(key)
  if not r or now < r[R_DUE] then return r end
  if r[R_STATE] == 'open' then
    expire(key, due_key, r, now, keep_us)
    return r
  end
  call('DEL', key)
  call('ZREM', due_key, key)
  return nil
end

local now = tonumber(ARGV[2])
if not now then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local keep_us = tonumber(ARGV[3])

local FIRST, WIDTH = 8, 9 -- of a line's arguments in `reserve`

local operations = {}

-- KEYS: reservation, due, bucket...; ARGV: _, now, keep, sweep, id, tenant, ttl, then per line
-- limit, amount, soft, type, duration, window start, window end, budget, meta.
-- Returns {1, states} granted, {0, line, wait, states} refused, {2, line, time} bounds needed,
-- {3, (meta, state)...} known already; a state is limit, spent, reserved, reset.
function operations.reserve()
  local key, due_key = KEYS[1], KEYS[2]
  sweep(due_key, now, keep_us, ARGV[4])
  local r = known(key, due_key, now, keep_us)
  if r then
    local reply = {3}
    for _, h in ipairs(r[R_HOLDS]) do
      for i = 1, 5 do
        reply[#reply + 1] = h[({H_META, H_LIMIT, H_SPENT, H_RESERVED, H_RESET})[i]]
      end
    end
    return reply
  end
  local count = #KEYS - 2
  local buckets, times = {}, {}
  local worst, worst_wait
  local rows = call('MGET', unpack(KEYS, 3))
  for i = 1, count do
    local a = FIRST + (i - 1) * WIDTH
    local limit = tonumber(ARGV[a])
    local b = rows[i] and unpack_(rows[i])
      or {ARGV[a + 8], ARGV[a + 3], tonumber(ARGV[a + 4]), 0, 0, 0, 0, 0, 0, 0, 0, {}}
    b[B_LIMIT] = limit
    local era = b[B_ERA]
    local at, needed = roll(b, now, tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6]))
    if not at then return {2, i - 1, needed} end
    if b[B_ERA] ~= era then save_bucket(KEYS[i + 2], b, now, keep_us) end
    buckets[i], times[i] = b, at
    if ARGV[a + 2] == '0' then
      local wait = wait_us(b, at, tonumber(ARGV[a + 1]))
      if wait ~= 0 and worst_wait ~= -1 and (not worst or wait == -1 or wait > worst_wait) then
        worst, worst_wait = i, wait
      end
    end
  end
  local reply = worst and {0, worst - 1, worst_wait} or {1}
  local holds = {}
  for i = 1, count do
    local a, b = FIRST + (i - 1) * WIDTH, buckets[i]
    local slot, amount
    if not worst then
      amount = tonumber(ARGV[a + 1])
      slot = charge(b, times[i], amount)
      save_bucket(KEYS[i + 2], b, now, tonumber(ARGV[7]) + keep_us)
    end
    local limit, spent, reserved, reset = weigh(b, times[i])
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = limit, spent, reserved, reset
    holds[i] = {KEYS[i + 2], ARGV[a + 7], ARGV[a + 8], amount, slot, b[B_ERA], limit, spent,
      reserved, reset}
  end
  if not worst then
    r = {ARGV[5], ARGV[6], 'open', now + tonumber(ARGV[7]), holds}
    save_reservation(key, due_key, r, now)
  end
  return reply
end

-- KEYS: reservation, due; ARGV: _, now, keep, sweep, then budget, amount pairs.
-- Returns (meta, state)..., empty when there is nothing to settle.
function operations.settle()
  local key, due_key = KEYS[1], KEYS[2]
  sweep(due_key, now, keep_us, ARGV[4])
  local r = known(key, due_key, now, keep_us)
  if not r or r[R_STATE] == 'settled' then return {} end
  local late = r[R_STATE] == 'expired'
  local amounts, reply = {}, {}
  for i = 5, #ARGV, 2 do amounts[ARGV[i]] = tonumber(ARGV[i + 1]) end
  for _, h in ipairs(r[R_HOLDS]) do
    local actual = amounts[h[H_BUDGET]] or 0
    local b = load(h[H_BUCKET])
    if b then
      local at = roll(b, now)
      if h[H_ERA] == b[B_ERA] then
        if not late then
          close_hold(b, at, h[H_SLOT], h[H_AMOUNT], actual)
        elseif b[B_TYPE] ~= 'concurrent' then
          local slot = find_slot(b, h[H_SLOT])
          if slot then correct(b, slot, at, h[H_SLOT], actual - h[H_AMOUNT]) end
        end
        save_bucket(h[H_BUCKET], b, now, keep_us)
      end
      local n = #reply
      reply[n + 1] = b[B_META]
      reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = weigh(b, at)
    end
    h[H_AMOUNT] = actual
  end
  r[R_STATE] = 'settled'
  r[R_DUE] = now + keep_us
  save_reservation(key, due_key, r, now)
  return reply
end

-- KEYS: due; ARGV: _, now, keep, sweep. Returns how many rows were looked after.
function operations.sweep()
  return {sweep(KEYS[1], now, keep_us, ARGV[4])}
end

-- KEYS: bucket. Returns meta and state, or empty.
function operations.read()
  local b = load(KEYS[1])
  if not b then return {} end
  return {b[B_META], weigh(b, roll(b, now))}
end

-- KEYS: bucket; ARGV: _, now, keep, limit, microseconds. Returns {1}, or empty when unknown.
operations['raise'] = function()
  local b = load(KEYS[1])
  if not b then return {} end
  b[B_RAISED] = tonumber(ARGV[4])
  b[B_RAISED_UNTIL] = now + tonumber(ARGV[5])
  save_bucket(KEYS[1], b, now, keep_us)
  return {1}
end

-- KEYS: bucket. Returns {1}, or empty when unknown.
function operations.reset()
  local b = load(KEYS[1])
  if not b then return {} end
  local slots = b[B_SLOTS]
  for i = 1, #slots, 3 do slots[i + 1] = min(slots[i + 1], slots[i + 2]) end
  save_bucket(KEYS[1], b, now, keep_us)
  return {1}
end

-- KEYS: reservation. Returns id, tenant, state, (meta, amount)..., or empty.
function operations.entry()
  local r = load(KEYS[1])
  if not r then return {} end
  local reply = {r[R_ID], r[R_TENANT], r[R_STATE]}
  for _, h in ipairs(r[R_HOLDS]) do
    reply[#reply + 1] = h[H_META]
    reply[#reply + 1] = h[H_AMOUNT]
  end
  return reply
end

return operations[ARGV[1]]()
