
-- KEYS: rows, due. ARGV: common, reservation's field, then budget and amount (a double), in turn.
-- Answers one string: per line 4 doubles (limit, spent, reserved, reset) and its meta behind a 2-byte
-- length; empty when there is nothing to settle.

local field = ARGV[2]
local r = known(field, call('HGET', rows_key, field))
if not r or r[R_STATE] == SETTLED then return '' end

local used, bucket_fields, holds, amounts = {}, {}, r[R_HOLDS], r[R_AMOUNTS]
for i = 3, #ARGV, 2 do used[ARGV[i]] = read('<d', ARGV[i + 1]) end
for i = 1, #holds do bucket_fields[i] = holds[i][H_BUCKET] end
local rows = call('HMGET', rows_key, unpack(bucket_fields))
local late, parts = r[R_STATE] ~= OPEN, {}
for i = 1, #holds do
  local h, row = holds[i], rows[i]
  local estimate, actual = amounts[i], used[h[H_BUDGET]] or 0
  if row then
    local b = parse_bucket(row)
    local time = roll(b)
    if h[H_ERA] == b[B_ERA] then
      if not late then
        close_hold(b, time, h[H_SLOT], estimate, actual)
      elseif b[B_TYPE] ~= CONCURRENT then
        local at, slots = find_slot(b, h[H_SLOT]), b[B_SLOTS]
        if at then
          local owed = actual
          if b[B_TYPE] == TOKEN_BUCKET then
            owed = cold().owed(b, time, h[H_SLOT], estimate, actual)
          end
          slots[at + 1] = max(0, slots[at + 1] + owed - estimate)
        end
      end
      keep_bucket(h[H_BUCKET], b, 0, row)
    end
    local limit, spent, reserved, reset = weigh(b, time)
    local meta = meta_of(b, row)
    parts[#parts + 1] = pack('<ddddI2c0', limit, spent, reserved, reset, #meta, meta)
  end
  amounts[i] = actual
end
r[R_STATE] = SETTLED
r[R_DUE] = now + keep_us
keep_reservation(field, r)
write()
return table.concat(parts)
