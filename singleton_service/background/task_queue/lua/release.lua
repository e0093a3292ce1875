-- Hand leased tasks back unfinished and uncounted, to the head of their list.
--
-- keys:    body shelves ready[4] suspects due held running owned attempts errors reasons cancels expiry progress unique unique_of results finished kept counters waiters wake waiting line_of turns settings full aside
-- args:    result_ttl_ms max_results ended_channel
-- items:   uid lease
-- returns: a string of 1 and 0 per item: was it the caller's
-- include: time batch plain shelves bodies count tally names ready wake limits lines turns room leases attempts traits unique records keeping unstarted endings orders aside back

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 2)
local keys = end_turns(uids or {})
-- Last first, so that the first of them ends up at the very head.
for n = #mine, 1, -1 do
    put_back(ARGV[mine[n]], now_ms)
end
if #mine > 0 then
    let_in(keys, now_ms)
    wake_one()
end
return answer
