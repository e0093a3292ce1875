-- Counting what happens: since the queue began, by the minute for an hour, by the hour for a day. Fields of `counters`:
-- "completed", "completed:m29" in the 29th minute since 1970, "completed:h1". Needs keys: counters; include: time count.
local function tally(kind, number, now_ms)
    if count(kind, number) == number and kind == "enqueued" then
        redis.call("HSETNX", KEYS.counters, "began:", digits(now_ms))
    end
    local minute = math.floor(now_ms / 60000)
    if count(kind .. ":m" .. minute, number) == number then
        -- include: batch tables times
        forget_times(minute)
    end
end
