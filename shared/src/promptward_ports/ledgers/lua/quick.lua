
-- What the quick ways of reserve and settle share. A bucket's row is patched where it changes: when it
-- was last seen, and one slot.

local SEEN_AT, AFTER_SEEN, SLOTS_AT = 41, 49, 89

-- Total, open and reset of a sliding window's slots
local function sum_of(slots, slice)
  local total, open, leaves = 0, 0, 0
  for i = 1, #slots - 2, 3 do
    if total == 0 then leaves = (slots[i] + SLICES + 1) * slice end
    total = total + slots[i + 1]
    open = open + slots[i + 2]
  end
  return total, min(open, total), total > 0 and max(0, leaves - now) or 0
end

-- `row` with `now` and, in its slot `k`, another total and open
local function patched(row, k, total, open)
  local at = SLOTS_AT + 24 * (k - 1) + 8
  return sub(row, 1, SEEN_AT - 1) .. pack('<d', now) .. sub(row, AFTER_SEEN, at - 1)
    .. pack('<dd', total, open) .. sub(row, at + 16)
end

-- The slots of a sliding window and the length of its slices, or nothing when some of them have left
local function sliding_slots(row, duration, count)
  local slice = floor(duration / SLICES)
  local slots = {read('<' .. string.rep('d', 3 * count), row, SLOTS_AT)}
  slots[#slots] = nil -- where they end
  if slots[1] < floor(now / slice) - SLICES then return end
  return slots, slice
end
