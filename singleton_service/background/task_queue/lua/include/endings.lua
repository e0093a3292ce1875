-- What happens when a task ends for good. Needs keys: dead counters waiters; args: ended_channel; include: errors.
local MAX_PUBLISHED = 1000

local function tell_waiters(uids)
    if redis.call("EXISTS", waiters) == 0 then
        return
    end
    for n = 1, math.min(#uids, MAX_PUBLISHED) do
        if redis.call("HDEL", waiters, uids[n]) == 1 then
            redis.call("PUBLISH", ended_channel, uids[n])
        end
    end
end

local function bury_task(uid, now_ms, error)
    append_error(uid, error)
    redis.call("ZADD", dead, digits(now_ms), uid)
    redis.call("HINCRBY", counters, "failed", 1)
end
