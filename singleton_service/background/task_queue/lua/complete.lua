-- Finish tasks with their results, if the caller still holds them.
--
-- keys:    running owned body attempts errors reasons cancels expiry progress unique unique_of results finished counters waiters full wake waiting line_of due
-- args:    again ttl_ms max_results ended_channel
-- items:   uid lease record
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; then a result of this very lease counts as a yes.
-- Invariant: a lease is good for one finish. Begins with deletes, so a full server can still be drained.
-- include: time wake leases batch repeats lines unique closing room endings

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 3)

answer = or_settled_before(answer, 3, function(i)
    local done = redis.call("HGET", results, ARGV[i])
    return done and string.match(done, "^%d+|(%d+)|") == fence_of(ARGV[i + 1])
end)

if #mine > 0 then
    redis.call("HDEL", body, unpack(uids))
    -- Sparse: most tasks never failed and were never held.
    local has_past = redis.call("EXISTS", attempts, errors, reasons) > 0
    local kept, expiries = {}, {}
    for _, i in ipairs(mine) do
        local uid = ARGV[i]
        local past = has_past and redis.call("HGET", errors, uid) or ""
        kept[#kept + 1] = uid
        kept[#kept + 1] = digits(now_ms) .. "|" .. fence_of(ARGV[i + 1]) .. "|" .. #past .. "|" .. past .. ARGV[i + 2]
        expiries[#expiries + 1] = digits(now_ms + ttl_ms)
        expiries[#expiries + 1] = uid
    end
    if has_past then
        redis.call("HDEL", attempts, unpack(uids))
        redis.call("HDEL", errors, unpack(uids))
        redis.call("HDEL", reasons, unpack(uids))
    end
    in_chunks("HSET", results, kept)
    in_chunks("ZADD", finished, expiries)
    close(uids)
    tell_of_room()
    redis.call("HINCRBY", counters, "completed", #mine)
    tell_waiters(uids)
end

-- Each finish pays for two old results, so what is kept stays bounded without a sweeper.
local budget = 2 * math.max(#mine, 1)
local old = redis.call("ZRANGE", finished, "-inf", digits(now_ms), "BYSCORE", "LIMIT", 0, budget)
if #old == 0 then
    local excess = redis.call("ZCARD", finished) - max_results
    if excess > 0 then
        old = redis.call("ZRANGE", finished, 0, math.min(excess, budget) - 1)
    end
end
in_chunks("ZREM", finished, old)
in_chunks("HDEL", results, old)
return answer
