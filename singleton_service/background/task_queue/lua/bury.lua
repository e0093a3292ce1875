-- Fail tasks for good, if the caller still holds them. A dead task keeps its body and its errors.
--
-- keys:    body shelves running owned attempts errors reasons cancels expiry progress unique unique_of dead counters waiters full wake waiting line_of due turns settings
-- args:    again failed_ttl_ms max_failed ended_channel
-- items:   uid lease error
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; a death of this very error under this very lease counts as a
-- yes (a third crash is noted under the lease, too, but with an error of its own).
-- include: time batch plain shelves bodies count tally names wake limits lines turns room leases attempts repeats errors burial unique closing graves endings

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 3)
answer = or_settled_before(answer, 3, function(i)
    local past = redis.call("HGET", KEYS.attempts, ARGV[i]) or ""
    local said = redis.call("HGET", KEYS.errors, ARGV[i]) or ""
    return redis.call("ZSCORE", KEYS.dead, ARGV[i])
        and string.sub(said, -#ARGV[i + 2]) == ARGV[i + 2]
        and string.match(past, "|(%d+)$") == fence_of(ARGV[i + 1])
end)

for _, i in ipairs(mine) do
    local uid = ARGV[i]
    local retries, crashes = history(uid)
    remember(uid, retries, crashes, fence_of(ARGV[i + 1]))
    bury_task(uid, now_ms, ARGV[i + 2])
end
if #mine > 0 then
    redis.call("HDEL", KEYS.reasons, unpack(uids))
    local keys = end_turns(uids)
    close(uids)
    let_in(keys, now_ms)
    tell_waiters(uids)
end

-- Each pays for two old ones.
forget_failed(2 * math.max(#mine, 1), now_ms)
return answer
