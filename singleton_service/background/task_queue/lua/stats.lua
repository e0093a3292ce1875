-- Count what is in a queue, in constant time.
--
-- keys:    ready[4] suspects due held waiting running results dead workers settings counters aside
-- returns: ready, suspects, due, held, waiting, running, finished, dead, workers, paused, then name and value of each counter
-- include: time aside

local answer = { 0, redis.call("LLEN", KEYS.suspects) }
for priority = 1, 4 do
    answer[1] = answer[1] + redis.call("LLEN", KEYS.ready[priority])
end
for _, list in ipairs(redis.call("ZRANGE", KEYS.aside, 0, -1)) do
    answer[1] = answer[1] + redis.call("LLEN", key_aside(list))
end
-- Tombstones of cancelled and expired tasks still stand in the lists, suspects' in theirs.
answer[1] = math.max(0, answer[1] - (tonumber(redis.call("HGET", KEYS.counters, "tombstones") or "0")))
for _, zset in ipairs({ KEYS.due, KEYS.held, KEYS.waiting }) do
    answer[#answer + 1] = redis.call("ZCARD", zset)
end
answer[#answer + 1] = redis.call("HLEN", KEYS.running)
answer[#answer + 1] = redis.call("HLEN", KEYS.results)
for _, zset in ipairs({ KEYS.dead, KEYS.workers }) do
    answer[#answer + 1] = redis.call("ZCARD", zset)
end
answer[#answer + 1] = redis.call("HEXISTS", KEYS.settings, "paused")
local TOTALS = { "enqueued", "completed", "failed", "retried", "recovered", "cancelled", "expired", "revived", "tombstones" }
for n, value in ipairs(redis.call("HMGET", KEYS.counters, unpack(TOTALS))) do
    if value then
        answer[#answer + 1] = TOTALS[n]
        answer[#answer + 1] = value
    end
end
return answer
