-- Put failed tasks back, due after a delay, if the caller still holds them.
--
-- keys:    body ready[4] due running owned attempts errors reasons counters wake
-- args:    again
-- items:   uid lease delay_ms retries error
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; this very retry under this very lease counts as a yes (a crash
-- is noted under the fence, too, but with the retries there were before).
-- include: time ready leases attempts

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 5)
local given = {}
for n = 1, #answer do
    local i = FIRST_ITEM + (n - 1) * 5
    given[n] = string.sub(answer, n, n)
    if given[n] == "0" and again == "1" then
        local past = redis.call("HGET", attempts, ARGV[i])
        local retries, fence = string.match(past or "", "^(%d+)|%d+|(%d+)$")
        if retries == ARGV[i + 3] and fence == fence_of(ARGV[i + 1]) then
            given[n] = "1"
        end
    end
end
for _, i in ipairs(mine) do
    local uid = ARGV[i]
    local _, crashes = history(uid)
    remember(uid, ARGV[i + 3], crashes, fence_of(ARGV[i + 1]))
    local earlier = redis.call("HGET", errors, uid)
    redis.call("HSET", errors, uid, earlier and (earlier .. "\n" .. ARGV[i + 4]) or ARGV[i + 4])
    redis.call("ZADD", due, digits(now_ms + ARGV[i + 2]), uid)
end
if #mine > 0 then
    -- Whoever let it run knew it: should it be held again, its time begins anew.
    redis.call("HDEL", reasons, unpack(uids))
    redis.call("HINCRBY", counters, "retried", #mine)
    wake_one()
end
return table.concat(given)
