-- What every operation is made of; head.lua has the layouts. What most calls do not need is defined only
-- when it is (`cold`): Redis runs a script anew for every call.

-- What this call writes: field, row, ... and due time, field, ...
local written, scores, longest = {}, {}, 0
local cold

local function limit_at(b, time)
  if time < b[B_RAISED_UNTIL] and b[B_RAISED] > b[B_LIMIT] then return b[B_RAISED] end
  return b[B_LIMIT]
end

-- Returns the bucket's own present, or nil and that time when the caller's bounds do not hold it.
-- Without bounds a fixed window that is over is left without slots.
local function roll(b, first, last)
  local time, kind, seen = now, b[B_TYPE], b[B_SEEN]
  if time >= seen or kind == CONCURRENT then
    b[B_SEEN] = time
  elseif seen - time <= b[B_DURATION] then
    time = seen
  else
    cold().rebase(b)
  end
  if kind ~= FIXED then return cold().roll(b, time, kind) end
  local slots = b[B_SLOTS]
  if #slots > 0 and slots[1] <= time and time < b[B_END] then return time end
  local rebased = #slots > 0 and b[B_END] == 0
  if not first then
    if not rebased then b[B_SLOTS] = {} end
    return time
  end
  if time < first or time >= last then return nil, time end
  b[B_END] = last
  b[B_SLOTS] = {first, rebased and slots[2] or 0, 0}
  return time
end

-- limit, spent, reserved, reset of a rolled bucket
local function weigh(b, time)
  local slots, total, open = b[B_SLOTS], 0, 0
  for i = 1, #slots, 3 do
    total = total + slots[i + 1]
    open = open + slots[i + 2]
  end
  if open > total then open = total end
  local limit, reset, kind = limit_at(b, time), 0, b[B_TYPE]
  if total > 0 then
    if kind == FIXED then
      if b[B_END] > time then reset = b[B_END] - time end
    elseif kind == SLIDING then reset = cold().sliding_wait(b, time, 1)
    elseif kind == TOKEN_BUCKET then reset = cold().refill_time(b, limit, total) or 0
    end
  end
  return limit, total - open, open, reset
end

local function find_slot(b, id)
  local slots = b[B_SLOTS]
  if b[B_TYPE] >= TOKEN_BUCKET then
    if #slots > 0 then return 1 end
    return nil
  end
  for i = #slots - 2, 1, -3 do
    if slots[i] == id then return i end
  end
  return nil
end

-- Closes an open estimate; `actual` nil expires it.
local function close_hold(b, time, slot, estimate, actual)
  local at = find_slot(b, slot)
  if not at then return end
  local slots = b[B_SLOTS]
  slots[at + 2] = max(0, slots[at + 2] - estimate)
  if b[B_TYPE] == CONCURRENT then
    slots[at + 1] = max(0, slots[at + 1] - estimate)
  elseif actual then
    if b[B_TYPE] == TOKEN_BUCKET then actual = cold().owed(b, time, slot, estimate, actual) end
    slots[at + 1] = max(0, slots[at + 1] + actual - estimate)
  end
end

local function parse_bucket(row)
  local b = {read(BUCKET, row)}
  local slots, at = {}, BUCKET_BYTES + 1
  for i = 1, b[B_SLOTS] * 3, 3 do
    slots[i], slots[i + 1], slots[i + 2], at = read('<ddd', row, at)
  end
  b[B_SLOTS] = slots
  b[B_META] = at -- for meta_of
  return b
end

local function meta_of(b, row)
  return sub(row, b[B_META])
end

-- `row` is what the bucket was parsed from, or its meta when it is new.
local function keep_bucket(field, b, open_us, row)
  local slots = b[B_SLOTS]
  local count, kind, quiet, forget = #slots, b[B_TYPE], b[B_SEEN], b[B_FORGET]
  if kind == FIXED then quiet = b[B_END]
  elseif kind ~= CONCURRENT then quiet = cold().quiet(b, kind)
  end
  local needed = b[B_SEEN] + open_us + keep_us
  if needed > forget or quiet > forget or b[B_RAISED_UNTIL] > forget then
    needed = max(needed, quiet, b[B_RAISED_UNTIL])
    forget = ceil(needed / FORGET_STEP_US) * FORGET_STEP_US
    b[B_FORGET] = forget
    scores[#scores + 1] = forget
    scores[#scores + 1] = field
    longest = max(longest, forget)
  end
  local state
  if count == 3 then
    state = pack(BUCKET_1, kind, b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], forget, 1,
      slots[1], slots[2], slots[3])
  else
    state = pack(BUCKET, kind, b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], forget, count / 3)
    for i = 1, count, 3 do state = state .. pack('<ddd', slots[i], slots[i + 1], slots[i + 2]) end
  end
  local n = #written
  written[n + 1], written[n + 2] = field, state .. sub(row, b[B_META])
end

local function keep_row(field, due, row)
  local n, m = #written, #scores
  written[n + 1], written[n + 2] = field, row
  scores[m + 1], scores[m + 2] = due, field
end

local function write()
  if #written > 0 then call('HSET', rows_key, unpack(written)) end
  if #scores > 0 then call('ZADD', due_key, unpack(scores)) end
  if longest > 0 then
    -- Whatever a tenant's rows still wait for, its longest-kept bucket outlasts it.
    local ms = ceil((max(0, longest - now) + IDLE_US) / 1000)
    if call('PTTL', rows_key) < ms then
      call('PEXPIRE', rows_key, ms)
      call('PEXPIRE', due_key, ms)
    end
  end
  written, scores, longest = {}, {}, 0
end

local function parse_reservation(row)
  local state, due, count, at = read('<ddd', row)
  local amounts, holds = {}, {}
  for i = 1, count do amounts[i], at = read('<d', row, at) end
  local rest = at
  at = at + OUTCOME_BYTES * count
  for i = 1, count do
    local h = {read(HOLD, row, at)}
    at = h[5]
    holds[i] = h
  end
  return {state, due, amounts, sub(row, rest), holds}
end

local function keep_reservation(field, r)
  local amounts = r[R_AMOUNTS]
  local count = #amounts
  keep_row(field, r[R_DUE], pack('<ddd', r[R_STATE], r[R_DUE], count)
    .. pack('<' .. string.rep('d', count), unpack(amounts)) .. r[R_REST])
end

-- The reservation as of now, also when the sweep has not come to it yet.
local function known(field, row)
  if not row then return nil end
  local r = parse_reservation(row)
  if now < r[R_DUE] then return r end
  if r[R_STATE] == OPEN then
    cold().expire(field, r)
    return r
  end
  call('HDEL', rows_key, field)
  call('ZREM', due_key, field)
  return nil
end

local function sweep()
  local due = call('ZRANGEBYSCORE', due_key, '-inf', now, 'LIMIT', '0', sweep_at_most)
  if #due > 0 then cold().sweep(due) end
  return #due
end

local function define_cold()
  local c = {}

  -- divmod(a * b, d), exact also where a * b is beyond 2^53 (binary long multiplication)
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

  local function slice_us(b) return floor(b[B_DURATION] / SLICES) end

  function c.rebase(b)
    b[B_SEEN] = now
    b[B_ERA] = b[B_ERA] + 1
    local slots, kind = b[B_SLOTS], b[B_TYPE]
    for i = 3, #slots, 3 do slots[i] = 0 end
    if kind == SLIDING and #slots > 0 then
      local shift = slots[#slots - 2] - floor(now / slice_us(b))
      for i = 1, #slots, 3 do slots[i] = slots[i] - shift end
    elseif kind == TOKEN_BUCKET and #slots > 0 then
      slots[1] = now
    elseif kind == FIXED then
      b[B_END] = 0
    end
  end

  local function refill(b, time)
    local slots = b[B_SLOTS]
    if #slots == 0 then
      b[B_SLOTS] = {time, 0, 0}
      return
    end
    local units, rest = divmod_product(max(0, time - slots[1]), limit_at(b, time), b[B_DURATION])
    rest = rest + b[B_CARRY]
    if rest >= b[B_DURATION] then units = units + 1; rest = rest - b[B_DURATION] end
    b[B_CARRY] = rest
    slots[1] = max(slots[1], time)
    slots[2] = max(0, slots[2] - units)
    if slots[2] == 0 then b[B_CARRY] = 0 end
  end

  function c.roll(b, time, kind)
    local slots = b[B_SLOTS]
    if kind == SLIDING then
      local oldest = floor(time / slice_us(b)) - SLICES
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
    elseif kind == TOKEN_BUCKET then
      refill(b, time)
    elseif #slots == 0 then
      b[B_SLOTS] = {0, 0, 0}
    end
    return time
  end

  function c.sliding_wait(b, time, over)
    local slots, freed, leaves = b[B_SLOTS], 0, time
    for i = 1, #slots, 3 do
      freed = freed + slots[i + 1]
      leaves = (slots[i] + SLICES + 1) * slice_us(b)
      if freed >= over then break end
    end
    return max(0, leaves - time)
  end

  function c.refill_time(b, limit, units)
    if limit <= 0 then return nil end
    local q, r = divmod_product(units, b[B_DURATION], limit)
    return min(MAX_WAIT_US, max(0, q + ceil((r - b[B_CARRY]) / limit)))
  end

  function c.quiet(b, kind)
    local slots = b[B_SLOTS]
    if kind == SLIDING then
      return ((#slots > 0 and slots[#slots - 2] or 0) + SLICES + 1) * slice_us(b)
    end
    if #slots == 0 then return b[B_SEEN] end
    return slots[1] + (c.refill_time(b, b[B_LIMIT], slots[2]) or 0)
  end

  -- The slot of this moment in a sliding window
  function c.slice(b, time)
    local slots, current = b[B_SLOTS], floor(time / slice_us(b))
    local n = #slots
    if n == 0 or slots[n - 2] ~= current then
      slots[n + 1], slots[n + 2], slots[n + 3] = current, 0, 0
    end
  end

  -- What a token bucket charges for `actual`: an over-estimate less what refilled meanwhile
  function c.owed(b, time, charged, estimate, actual)
    if actual >= estimate then return actual end
    local q, r = divmod_product(max(0, time - charged), limit_at(b, time), b[B_DURATION])
    if r > 0 then q = q + 1 end
    return min(estimate, actual + q)
  end

  function c.expire(field, r)
    for i, h in ipairs(r[R_HOLDS]) do
      local row = call('HGET', rows_key, h[H_BUCKET])
      if row then
        local b = parse_bucket(row)
        local time = roll(b)
        if h[H_ERA] == b[B_ERA] then
          close_hold(b, time, h[H_SLOT], r[R_AMOUNTS][i], nil)
          keep_bucket(h[H_BUCKET], b, 0, row)
        end
      end
    end
    r[R_STATE] = EXPIRED
    r[R_DUE] = now + keep_us
    keep_reservation(field, r)
    write() -- the next row may share a bucket
  end

  local function sweep_bucket(field, row)
    local forget = row and parse_bucket(row)[B_FORGET] or 0
    if forget > now then
      call('ZADD', due_key, forget, field)
    else
      call('HDEL', rows_key, field)
      call('ZREM', due_key, field)
    end
  end

  function c.sweep(due)
    for i = 1, #due do
      local field = due[i]
      local row = call('HGET', rows_key, field)
      if sub(field, 1, 1) == 'b' then
        sweep_bucket(field, row)
      elseif not known(field, row) then
        call('ZREM', due_key, field)
      end
    end
  end

  return c
end

local cold_functions
cold = function()
  if not cold_functions then cold_functions = define_cold() end
  return cold_functions
end
