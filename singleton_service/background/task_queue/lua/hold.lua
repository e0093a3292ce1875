-- Set leased tasks aside for a while, uncounted; fail those held longer than they may be.
--
-- keys:    body shelves due held running owned attempts errors reasons cancels expiry progress unique unique_of results finished kept dead counters waiters wake waiting line_of turns settings full
-- args:    limit_ms result_ttl_ms max_results ended_channel
-- items:   uid lease reason error
-- returns: a string per item: 0 not the caller's, 1 held, 2 failed
--
-- error: what is said when it was held for limit_ms; "" when it is never to fail for that.
--
-- The next look comes after 1, 2, 4, ... at most 30 s, so that a task nobody knows costs next to nothing.
-- include: time batch plain shelves bodies count tally names wake limits lines turns room leases attempts errors burial traits unique closing records keeping unstarted endings orders

local LONGEST_MS = 30000

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 4)
local keys = end_turns(uids or {})
local verdict, failed = {}, {}
for n = 1, #answer do
    verdict[n] = string.sub(answer, n, n)
end
for _, i in ipairs(mine) do
    local uid = ARGV[i]
    local since_ms, looks = now_ms, 0
    local earlier = redis.call("HGET", KEYS.reasons, uid)
    if earlier then
        local since, count = string.match(earlier, "^(%d+)|(%d+)|")
        since_ms, looks = tonumber(since), tonumber(count)
    end
    local left_ms = ARGV[i + 3] == "" and LONGEST_MS or since_ms + ARGV.limit_ms - now_ms
    if left_ms <= 0 then
        local retries, crashes = history(uid)
        remember(uid, retries, crashes, fence_of(ARGV[i + 1]))
        bury_task(uid, now_ms, ARGV[i + 3])
        redis.call("HDEL", KEYS.reasons, uid)
        failed[#failed + 1] = uid
        verdict[(i - FIRST_ITEM) / 4 + 1] = "2"
    elseif not was_cancelled(uid, now_ms) then
        local wait_ms = math.min(LONGEST_MS, 1000 * 2 ^ math.min(looks, 10), left_ms)
        redis.call("HSET", KEYS.reasons, uid, digits(since_ms) .. "|" .. (looks + 1) .. "|" .. ARGV[i + 2])
        redis.call("ZADD", KEYS.held, digits(now_ms + wait_ms), uid)
    end
end
if #mine > 0 then
    if #failed > 0 then
        close(failed)
        tell_waiters(failed)
    end
    let_in(keys, now_ms)
    wake_one()
end
return table.concat(verdict)
