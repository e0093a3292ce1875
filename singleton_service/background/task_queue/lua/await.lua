-- Ask to be told when a task ends, and say whether it has already.
--
-- keys:    body dead results waiters
-- args:    uid now_token
-- returns: "ended", "unknown" or "waiting"
--
-- The mark goes with the task's end, or is written again by a waiter that still waits.
-- Begins with a delete, so on a full server, too, one can wait for what is being drained.

if redis.call("HEXISTS", results, uid) == 1 or redis.call("ZSCORE", dead, uid) then
    return "ended"
end
if redis.call("HEXISTS", body, uid) == 0 then
    return "unknown"
end
redis.call("HDEL", waiters, uid)
redis.call("HSET", waiters, uid, now_token)
return "waiting"
