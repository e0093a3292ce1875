-- Failing for good. Needs keys: dead counters; include: time errors.
local function bury_task(uid, now_ms, error)
    append_error(uid, error)
    redis.call("ZADD", dead, digits(now_ms), uid)
    redis.call("HINCRBY", counters, "failed", 1)
end
