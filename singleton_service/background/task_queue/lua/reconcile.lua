-- Hand back the leases that the server counts for a worker and the worker does not hold.
--
-- keys:    body shelves ready[4] suspects due held running owned attempts errors reasons cancels expiry progress unique unique_of results finished kept counters waiters wake waiting line_of turns settings full aside
-- args:    worker result_ttl_ms max_results ended_channel
-- items:   uid
-- returns: how many went back to ready
--
-- A fetch whose answer was lost leaves such leases. The items are what the worker does hold; it must have no fetch
-- under way. `owned` is at most what one process holds, so reading it whole is bounded.
-- include: time batch plain shelves bodies count tally names ready wake limits lines turns room attempts traits unique records keeping unstarted endings orders aside back

local now_ms = server_time()
local known = {}
for i = FIRST_ITEM, #ARGV do
    known[ARGV[i]] = true
end
local returned = 0
for _, uid in ipairs(redis.call("HKEYS", KEYS.owned)) do
    if not known[uid] then
        local lease = redis.call("HGET", KEYS.running, uid)
        if lease and string.match(lease, "^%d+|(.*)$") == ARGV.worker then
            redis.call("HDEL", KEYS.running, uid)
            local keys = end_turns({ uid })
            put_back(uid, now_ms)
            let_in(keys, now_ms)
            returned = returned + 1
        end
        redis.call("HDEL", KEYS.owned, uid)
    end
end
if returned > 0 then
    wake_one()
end
return returned
