-- What a queue's limits leave, as limit.lua writes them down: "most running|us between starts|us one may come early",
-- 0 where there is none.

local function parts_of(limits)
    local most, every_us, early_us = string.match(limits or "0|0|0", "^(%d+)|(%d+)|(%d+)$")
    return tonumber(most), tonumber(every_us), tonumber(early_us)
end

-- How many starts an even pace allows, and if none, for how many us. next_us is when the next one would be on time.
local function allowed_by_pace(every_us, early_us, next_us, now_us)
    local wait_us = math.max(next_us, now_us) - early_us - now_us
    if wait_us > 0 then
        return 0, wait_us
    end
    return math.floor(-wait_us / every_us) + 1, 0
end
