-- Put failed tasks back, due after a delay, if the caller still holds them.
--
-- keys:    body shelves due held running owned attempts errors reasons cancels expiry progress unique unique_of results finished kept counters waiters wake waiting line_of turns settings full
-- args:    again result_ttl_ms max_results ended_channel
-- items:   uid lease delay_ms retries error
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; this very retry under this very lease counts as a yes (a crash
-- is noted under the fence, too, but with the retries there were before).
-- include: time batch plain shelves bodies count tally wake limits lines turns room leases attempts repeats errors traits unique records keeping unstarted endings orders

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 5)
local keys = end_turns(uids or {})
answer = or_settled_before(answer, 5, function(i)
    local past = redis.call("HGET", KEYS.attempts, ARGV[i])
    local retries, fence = string.match(past or "", "^(%d+)|%d+|(%d+)$")
    return retries == ARGV[i + 3] and fence == fence_of(ARGV[i + 1])
end)

for _, i in ipairs(mine) do
    local uid = ARGV[i]
    local _, crashes = history(uid)
    remember(uid, ARGV[i + 3], crashes, fence_of(ARGV[i + 1]))
    append_error(uid, ARGV[i + 4])
    if not was_cancelled(uid, now_ms) then
        redis.call("ZADD", KEYS.due, digits(now_ms + ARGV[i + 2]), uid)
    end
end
if #mine > 0 then
    -- Whoever let it run knew it: should it be held again, its time begins anew.
    redis.call("HDEL", KEYS.reasons, unpack(uids))
    tally("retried", #mine, now_ms)
    let_in(keys, now_ms)
    wake_one()
end
return answer
