-- The budget ledger in Redis: the arithmetic of promptward/ledger/windows.py, statement for statement
-- (change both or neither), and the rows it works on. Each operation is one script, one EVALSHA, atomic:
-- this file, the operation's quick way where it has one (quick.lua and reserve_quick.lua or
-- settle_quick.lua), common.lua, and the operation (reserve.lua, settle.lua, admin.lua).
--
-- A tenant has two keys with the same hash tag, so one Redis Cluster node runs its calls:
--   <prefix>:{tag}:rows   hash: `r<id>` reservation, `b<id>` bucket
--   <prefix>:{tag}:due    sorted set: row by the microsecond it falls due
-- A reservation is 3 doubles (state, due, number of holds), a double per hold (its amount), 4 doubles
-- per hold (its first outcome), the holds (HOLD). A bucket is 10 doubles (B_*), the
-- number of slots, slots, meta as JSON. Numbers are integers below 2^53, which doubles hold exactly;
-- they are kept as little-endian doubles because packing them so costs a tenth of what text or
-- MessagePack does.

local B_TYPE, B_DURATION, B_LIMIT, B_RAISED, B_RAISED_UNTIL, B_SEEN, B_END, B_CARRY, B_ERA, B_FORGET,
  B_SLOTS, B_META = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local H_SLOT, H_ERA, H_BUCKET, H_BUDGET = 1, 2, 3, 4
-- R_REST is the row behind the amounts.
local R_STATE, R_DUE, R_AMOUNTS, R_REST, R_HOLDS = 1, 2, 3, 4, 5
local FIXED, SLIDING, TOKEN_BUCKET, CONCURRENT = 1, 2, 3, 4
-- CHARGED: spent from the start; a settlement may correct it, and to an operator it is settled.
local OPEN, EXPIRED, SETTLED, CHARGED = 1, 2, 3, 4

local SLICES = 32
local RETRY_US = 1000000
local MAX_WAIT_US = 1000000000000000
local IDLE_US = 86400000000 -- a tenant that fell silent vanishes a day after its last row fell due

local BUCKET = '<ddddddddddd'
local BUCKET_1 = '<dddddddddddddd' -- with its one slot: all types but `sliding`
local BUCKET_BYTES = 88
local OUTCOME_BYTES = 32
local HOLD = '<ddI2c0I2c0'
local LINE, LINE_FIELD = '<dddddddI2c0I2c0', 57 -- a line of reserve, and where its bucket's field is
local FORGET_STEP_US = 256000000 -- rounds up, so that most charges leave a bucket's time alone

local floor, ceil, max, min, sub = math.floor, math.ceil, math.max, math.min, string.sub
local call, pack, read = redis.call, struct.pack, struct.unpack

-- ARGV[1]: time to go by or -1 and retention as doubles, rows to sweep as text ending with a zero
-- byte: numbers given to redis.call are formatted each time, texts are not.
local now, keep_us, sweep_at_most = read('<dds', ARGV[1])
if now < 0 then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local rows_key, due_key = KEYS[1], KEYS[2]
