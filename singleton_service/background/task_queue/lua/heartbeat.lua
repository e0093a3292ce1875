-- Renew all leases of a worker at once, and tell it what it should know.
--
-- keys:    ready[4] suspects due held running owned workers wake body shelves attempts errors reasons expiry progress unique unique_of results finished kept dead settings full counters waiters waiting line_of turns cancels aside
-- args:    worker lease_ms result_ttl_ms max_results failed_ttl_ms max_failed ended_channel
-- returns: number of tasks it owns, ms until there is work (0: now, -1: none in sight), workers whose lease ended, those of
--          its tasks that are to be cancelled (told again with every beat), how many workers there are
--
-- Ends what has expired and forgets what was kept long enough, a bounded lot a beat. Heals a wake-up token that was lost
-- with the dispatcher that took it.
-- Begins with a delete, so a full server takes no lease from whoever is at work.
-- include: time batch plain shelves bodies count tally wake limits lines turns traits expired sight unique records keeping graves unstarted endings

local SWEPT, TOLD = 100, 100

local now_ms, now_us = server_time()
redis.call("ZREM", KEYS.workers, ARGV.worker)
redis.call("ZADD", KEYS.workers, digits(now_ms + ARGV.lease_ms), ARGV.worker)

for _, uid in ipairs(redis.call("ZRANGE", KEYS.expiry, "-inf", digits(now_ms), "BYSCORE", "LIMIT", 0, SWEPT)) do
    local blob = blob_of(uid)
    if blob and has_expired(uid, blob, now_ms) then
        end_unstarted(uid, blob, "e", now_ms)
        tell_waiters({ uid })
    else
        redis.call("ZREM", KEYS.expiry, uid)
    end
end

-- Where tasks end all the time this has been paid for already.
forget(SWEPT, now_ms)
forget_failed(SWEPT, now_ms)

local next_ms = -1
local paused, limits, next_start_us = unpack(redis.call("HMGET", KEYS.settings, "paused", "limits", "next_start"))
if not paused then
    next_ms = ms_until_due(now_ms)
    if is_any_ready() or redis.call("EXISTS", KEYS.aside) == 1 then
        next_ms = sooner(next_ms, ms_until_start(limits, next_start_us, now_us))
    end
end
if next_ms == 0 then
    wake_one()
end

local orders = {}
if redis.call("EXISTS", KEYS.cancels) == 1 then
    -- At random, so that where there are more, each has its turn.
    for _, uid in ipairs(redis.call("HRANDFIELD", KEYS.cancels, TOLD)) do
        if string.match(redis.call("HGET", KEYS.running, uid) or "", "^%d+|(.*)$") == ARGV.worker then
            orders[#orders + 1] = uid
        end
    end
end
local lost = redis.call("ZRANGE", KEYS.workers, "-inf", "(" .. digits(now_ms), "BYSCORE", "LIMIT", 0, 10)
return { redis.call("HLEN", KEYS.owned), next_ms, lost, orders, redis.call("ZCARD", KEYS.workers) }
