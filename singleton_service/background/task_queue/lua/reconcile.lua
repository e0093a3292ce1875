-- Hand back the leases that the server counts for a worker and the worker does not hold.
--
-- keys:    body ready[4] suspects running owned attempts wake
-- args:    worker
-- items:   uid
-- returns: how many went back to ready
--
-- A fetch whose answer was lost leaves such leases. The items are what the worker does hold; it must have no fetch
-- under way. `owned` is at most what one process holds, so reading it whole is bounded.
-- include: ready leases attempts

local held = {}
for i = FIRST_ITEM, #ARGV do
    held[ARGV[i]] = true
end
local returned = 0
for _, uid in ipairs(redis.call("HKEYS", owned)) do
    if not held[uid] then
        local lease = redis.call("HGET", running, uid)
        if lease and string.match(lease, "^%d+|(.*)$") == worker then
            redis.call("HDEL", running, uid)
            local _, crashes = history(uid)
            redis.call("LPUSH", crashes >= SUSPECT_AFTER and suspects or ready[priority_of(uid) + 1], uid)
            returned = returned + 1
        end
        redis.call("HDEL", owned, uid)
    end
end
if returned > 0 then
    wake_one()
end
return returned
