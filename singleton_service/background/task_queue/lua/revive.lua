-- Put failed tasks back to ready, with all their retries before them and their errors kept.
--
-- keys:    body shelves ready[4] dead attempts unique unique_of counters wake waiting line_of turns settings due
-- items:   uid
-- returns: per item "1", "0" when it has not failed, or the uid of the task that has its unique key
-- include: time batch plain shelves bodies ready wake limits lines turns traits

local now_ms, now_us = server_time()
local answer, revived = {}, 0
for i = FIRST_ITEM, #ARGV do
    local uid = ARGV[i]
    local blob = redis.call("ZSCORE", KEYS.dead, uid) and blob_of(uid)
    local extras = blob and (is_unique(blob) or has_limit_key(blob)) and extras_of(blob) or {}
    local key, limit_key = extras.u, extras.l
    local holder = key and redis.call("HGET", KEYS.unique, key)
    if not blob then
        answer[#answer + 1] = "0"
    elseif holder then
        answer[#answer + 1] = holder
    else
        redis.call("ZREM", KEYS.dead, uid)
        redis.call("HDEL", KEYS.attempts, uid)
        if key then
            redis.call("HSET", KEYS.unique, key, uid)
            redis.call("HSET", KEYS.unique_of, uid, key)
        end
        if limit_key then
            local place = place_for_turn(limit_key, string.sub(blob, 2, 2), arrival(now_us, i), uid)
            redis.call("HSET", KEYS.line_of, uid, place)
            redis.call("ZADD", KEYS.waiting, 0, place)
            let_in({ limit_key }, now_ms)
        else
            redis.call("RPUSH", KEYS.ready[priority_of(uid) + 1], uid)
        end
        revived = revived + 1
        answer[#answer + 1] = "1"
    end
end
if revived > 0 then
    redis.call("HINCRBY", KEYS.counters, "revived", revived)
    wake_one()
end
return answer
