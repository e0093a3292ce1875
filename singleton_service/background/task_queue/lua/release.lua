-- Hand leased tasks back unfinished and uncounted, to the head of their list.
--
-- keys:    body ready[4] suspects running owned attempts wake
-- items:   uid lease
-- returns: a string of 1 and 0 per item: was it the caller's
-- include: ready leases attempts

local mine, answer = give_up(FIRST_ITEM, 2)
-- Last first, so that the first of them ends up at the very head.
for n = #mine, 1, -1 do
    local uid = ARGV[mine[n]]
    local _, crashes = history(uid)
    redis.call("LPUSH", crashes >= SUSPECT_AFTER and suspects or ready[priority_of(uid) + 1], uid)
end
if #mine > 0 then
    wake_one()
end
return answer
