-- Cancel what has not started, a bounded lot at a time.
--
-- keys:    body shelves ready[4] suspects due held attempts errors reasons expiry progress unique unique_of results finished kept counters waiters waiting line_of wake turns settings aside
-- args:    result_ttl_ms max_results limit ended_channel
-- returns: how many were cancelled, whether there may be more
-- include: time batch plain shelves bodies count tally wake limits lines turns traits unique records keeping unstarted endings aside

local now_ms = server_time()
local ended, seen_here = {}, 0

local function cancel(uids, from_list)
    for _, uid in ipairs(uids) do
        seen_here = seen_here + 1
        local blob = blob_of(uid)
        if blob then
            end_unstarted(uid, blob, "x", now_ms)
            ended[#ended + 1] = uid
        end
        if from_list then
            -- Taken out whole, so it leaves no tombstone; or it was one.
            redis.call("HINCRBY", KEYS.counters, "tombstones", -1)
        end
    end
end

-- Those in line first, so that what they wait for is handed to nobody.
local in_line = redis.call("ZRANGE", KEYS.waiting, 0, ARGV.limit - 1)
for n, member in ipairs(in_line) do
    in_line[n] = string.match(member, "[^\n]*$")
end
cancel(in_line, false)
for _, list in ipairs({ KEYS.suspects, KEYS.ready[1], KEYS.ready[2], KEYS.ready[3], KEYS.ready[4] }) do
    if seen_here < tonumber(ARGV.limit) then
        cancel(redis.call("LPOP", list, ARGV.limit - seen_here) or {}, true)
    end
end
for _, list in ipairs(redis.call("ZRANGE", KEYS.aside, 0, -1)) do
    if seen_here < tonumber(ARGV.limit) then
        local uids = {}
        for n, entry in ipairs(first_aside({ list }, ARGV.limit - seen_here)) do
            uids[n] = entry[2]
        end
        drop_aside(list, #uids)
        cancel(uids, true)
    end
end
for _, zset in ipairs({ KEYS.due, KEYS.held }) do
    if seen_here < tonumber(ARGV.limit) then
        cancel(redis.call("ZRANGE", zset, 0, ARGV.limit - seen_here - 1), false)
    end
end
tell_waiters(ended)
return { #ended, seen_here >= tonumber(ARGV.limit) and 1 or 0 }
