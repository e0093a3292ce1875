-- Failing for good. Needs keys: body dead counters; include: time batch errors tally names.
local function bury_task(uid, now_ms, error)
    append_error(uid, error)
    redis.call("ZADD", KEYS.dead, digits(now_ms), uid)
    tally("failed", 1, now_ms)
    tally_name("failed", name_of(blob_of(uid) or ""), 1, now_ms)
end
