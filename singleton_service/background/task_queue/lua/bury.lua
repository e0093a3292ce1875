-- Fail tasks for good, if the caller still holds them. A dead task keeps its body and its errors.
--
-- keys:    running owned attempts errors reasons dead counters waiters
-- args:    again ended_channel
-- items:   uid lease error
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; a death of this very error under this very lease counts as a
-- yes (a third crash is noted under the lease, too, but with an error of its own).
-- include: time leases attempts endings

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 3)
local given = {}
for n = 1, #answer do
    local i = FIRST_ITEM + (n - 1) * 3
    given[n] = string.sub(answer, n, n)
    if given[n] == "0" and again == "1" and redis.call("ZSCORE", dead, ARGV[i]) then
        local past = redis.call("HGET", attempts, ARGV[i]) or ""
        local said = redis.call("HGET", errors, ARGV[i]) or ""
        local is_this = string.sub(said, -#ARGV[i + 2]) == ARGV[i + 2]
        if is_this and string.match(past, "|(%d+)$") == fence_of(ARGV[i + 1]) then
            given[n] = "1"
        end
    end
end
for _, i in ipairs(mine) do
    local uid = ARGV[i]
    local retries, crashes = history(uid)
    remember(uid, retries, crashes, fence_of(ARGV[i + 1]))
    bury_task(uid, now_ms, ARGV[i + 2])
end
if #mine > 0 then
    redis.call("HDEL", reasons, unpack(uids))
    tell_waiters(uids)
end
return table.concat(given)
