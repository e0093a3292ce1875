-- A running task that was told to be cancelled does not run again: it ends where its lease ends.
-- Needs keys: cancels; include: unstarted endings.
local function was_cancelled(uid, now_ms)
    if redis.call("HDEL", KEYS.cancels, uid) == 0 then
        return false
    end
    end_unstarted(uid, blob_of(uid), "x", now_ms)
    -- It stood in no list.
    redis.call("HINCRBY", KEYS.counters, "tombstones", -1)
    tell_waiters({ uid })
    return true
end
