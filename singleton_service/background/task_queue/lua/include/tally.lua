-- Counting what happens: since the queue began, by the minute for an hour, by the hour for a day. Fields of `counters`:
-- "completed", "completed:m29" in the 29th minute since 1970, "completed:h1". Needs keys: counters; include: time batch.
local MINUTES, HOURS, DAYS = 60, 24, 2

-- With the first of a kind in a minute the fields of times long gone go, so there are never more than so many.
local function forget_times(minute)
    local hour, day = math.floor(minute / 60), math.floor(minute / 1440)
    local oldest = { ["m"] = minute - MINUTES, ["h"] = hour - HOURS, ["d"] = day - DAYS }
    local gone = {}
    for _, field in ipairs(redis.call("HKEYS", counters)) do
        local unit, number = string.match(field, ":([mhd])(%d+)")
        if unit and tonumber(number) <= oldest[unit] then
            gone[#gone + 1] = field
        end
    end
    in_chunks("HDEL", counters, gone)
end

local function tally(kind, number, now_ms)
    if redis.call("HINCRBY", counters, kind, number) == number and kind == "enqueued" then
        redis.call("HSETNX", counters, "began:", digits(now_ms))
    end
    local minute = math.floor(now_ms / 60000)
    redis.call("HINCRBY", counters, kind .. ":h" .. math.floor(minute / 60), number)
    if redis.call("HINCRBY", counters, kind .. ":m" .. minute, number) == number then
        forget_times(minute)
    end
end
