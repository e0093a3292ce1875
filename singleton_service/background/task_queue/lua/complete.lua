-- Finish tasks with their results, if the caller still holds them.
--
-- keys:    running owned body attempts errors reasons cancels expiry progress unique unique_of results finished kept crew counters waiters full wake waiting line_of due
-- args:    again result_ttl_ms max_results ended_channel
-- items:   uid lease result
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; then a result of this very lease counts as a yes.
-- Invariant: a lease is good for one finish. Begins with deletes, so a full server can still be drained.
-- include: time wake leases traits batch repeats lines unique closing records keeping crew room endings

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 3)

answer = or_settled_before(answer, 3, function(i)
    local done = redis.call("HGET", results, ARGV[i])
    return done and string.sub(done, 1, 1) == "c" and settled_by(done) == tonumber(fence_of(ARGV[i + 1]))
end)

if #mine > 0 then
    local blobs = redis.call("HMGET", body, unpack(uids))
    redis.call("HDEL", body, unpack(uids))
    -- Sparse: most tasks never failed and were never held.
    local has_past = redis.call("EXISTS", attempts, errors, reasons) > 0
    local numbers, ended = {}, {}
    for n, i in ipairs(mine) do
        local uid = ARGV[i]
        local fence, worker = string.match(ARGV[i + 1], "^(%d+)|(.*)$")
        numbers[worker] = numbers[worker] or number_of(worker)
        local past, retries = "", "0"
        if has_past then
            past = redis.call("HGET", errors, uid) or ""
            retries = string.match(redis.call("HGET", attempts, uid) or "0", "^%d+")
        end
        local record = record_of("c", retries, tonumber(fence), now_ms, numbers[worker], past, blobs[n], ARGV[i + 2])
        ended[n] = { uid, record, blobs[n] }
    end
    if has_past then
        redis.call("HDEL", attempts, unpack(uids))
        redis.call("HDEL", errors, unpack(uids))
        redis.call("HDEL", reasons, unpack(uids))
    end
    keep(ended, now_ms)
    close(uids)
    tell_of_room()
    redis.call("HINCRBY", counters, "completed", #mine)
    tell_waiters(uids)
end

-- Each finish pays for two old results, so what is kept stays bounded without a sweeper.
forget(2 * math.max(#mine, 1), now_ms)
return answer
