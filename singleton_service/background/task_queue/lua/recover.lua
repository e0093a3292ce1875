-- Hand on the tasks of a worker whose lease has ended, or whose process was seen dead (is_dead, 0 or 1).
--
-- keys:    body shelves ready[4] suspects due held running owned workers attempts errors reasons cancels expiry progress unique unique_of results finished kept dead counters waiters wake waiting line_of turns settings full aside
-- args:    lost_worker is_dead error result_ttl_ms max_results ended_channel
-- returns: handed on, buried, left to do (-1: the worker is alive again)
--
-- `owned` is the lost worker's; it is only an index, `running` decides. Not started: no crash counted. First crash:
-- back to the head. Second: a suspect, leased alone. Third: buried. Crashes never use up retries.
-- include: time batch plain shelves bodies count tally names ready wake limits lines turns room leases attempts errors burial traits unique closing records keeping unstarted endings orders aside back

local BATCH = 500

local now_ms = server_time()
local ends_ms = redis.call("ZSCORE", KEYS.workers, ARGV.lost_worker)
if ARGV.is_dead ~= "1" and ends_ms and tonumber(ends_ms) >= now_ms then
    return { 0, 0, -1 }
end

local handed_on, buried, keys, seen_here = 0, {}, {}, 0
-- One page at a time: what it names is deleted below, so the next call finds the rest. Not by HSCAN: a scan from 0
-- walks again through what has been emptied, and of a large hash it comes back with nothing, for ever.
local page = redis.call("HRANDFIELD", KEYS.owned, BATCH, "WITHVALUES")
for n = #page - 1, 1, -2 do
    local uid, started = page[n], page[n + 1] == "1"
    seen_here = seen_here + 1
    local lease = redis.call("HGET", KEYS.running, uid)
    if lease and string.match(lease, "^%d+|(.*)$") == ARGV.lost_worker then
        local retries, crashes = history(uid)
        redis.call("HDEL", KEYS.running, uid)
        for _, key in ipairs(end_turns({ uid })) do
            keys[#keys + 1] = key
        end
        if started then
            crashes = crashes + 1
            remember(uid, retries, crashes, fence_of(lease))
        end
        if crashes >= BURIED_AFTER then
            bury_task(uid, now_ms, ARGV.error)
            redis.call("HDEL", KEYS.reasons, uid)
            buried[#buried + 1] = uid
        else
            put_back(uid, now_ms)
            handed_on = handed_on + 1
        end
    end
    redis.call("HDEL", KEYS.owned, uid)
end

local left = redis.call("HLEN", KEYS.owned)
if left == 0 then
    redis.call("ZREM", KEYS.workers, ARGV.lost_worker)
end
if handed_on > 0 then
    redis.call("HINCRBY", KEYS.counters, "recovered", handed_on)
end
if handed_on > 0 or #buried > 0 then
    -- For what was handed on, and for what the buried ones have made room for.
    wake_one()
end
if #buried > 0 then
    close(buried)
    tell_waiters(buried)
end
let_in(keys, now_ms)
return { handed_on, #buried, left }
