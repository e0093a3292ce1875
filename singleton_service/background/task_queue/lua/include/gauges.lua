-- How long tasks waited and ran, and how many ran at once, by the hour. Needs keys: counters; include: time count.
local function hour_of(now_ms)
    return ":h" .. math.floor(now_ms / 3600000)
end

local function raise(kind, value, now_ms)
    local field = kind .. hour_of(now_ms)
    if value > tonumber(redis.call("HGET", KEYS.counters, field) or "0") then
        redis.call("HSET", KEYS.counters, field, digits(value))
    end
end

local function took(kind, number, ms, longest_ms, now_ms)
    local hour = hour_of(now_ms)
    count(kind .. hour, number)
    count(kind .. "_ms" .. hour, ms)
    raise(kind .. "_most", longest_ms, now_ms)
end
