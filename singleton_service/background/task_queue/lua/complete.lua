-- Finish tasks with their results, if the caller still holds them.
--
-- keys:    running owned body shelves attempts errors reasons cancels expiry progress unique unique_of results finished kept crew counters waiters full wake waiting line_of due turns settings
-- args:    again result_ttl_ms max_results ended_channel
-- items:   uid lease result
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- again: "1" when an earlier answer may have been lost; then a result of this very lease counts as a yes.
-- Invariant: a lease is good for one finish. Begins with deletes, so a full server can still be drained.
-- include: time batch plain shelves bodies count tally names gauges leases traits repeats records keeping crew

local now_ms = server_time()
local mine, answer, uids = give_up(FIRST_ITEM, 3)

answer = or_settled_before(answer, 3, function(i)
    local done = redis.call("HGET", KEYS.results, ARGV[i])
    return done and string.sub(done, 1, 1) == "c" and settled_by(done) == tonumber(fence_of(ARGV[i + 1]))
end)

if #mine > 0 then
    local blobs = blobs_of(uids)
    drop_blobs(uids)
    -- Sparse: most tasks never failed and were never held.
    local has_past = redis.call("EXISTS", KEYS.attempts, KEYS.errors, KEYS.reasons) > 0
    -- Those of one fetch have much in common, and so have those of one name: worked out once.
    local leases, ended, names = {}, {}, {}
    local first_line, of_name, longest_ms = nil, nil, 0
    for n, i in ipairs(mine) do
        local uid, token, blob = ARGV[i], ARGV[i + 1], blobs[n]
        local lease = leases[token]
        if not lease then
            local fence, worker = string.match(token, "^(%d+)|(.*)$")
            local number = number_of(worker)
            local ms = math.max(0, now_ms - math.floor(fence / 1000))
            lease = { fence = fence, number = number, head = head_of("c", "0", fence, now_ms, number, ""), ms = ms }
            leases[token] = lease
            longest_ms = math.max(longest_ms, ms)
        end
        local past, head = "", lease.head
        if has_past then
            past = redis.call("HGET", KEYS.errors, uid) or ""
            local retries = string.match(redis.call("HGET", KEYS.attempts, uid) or "0", "^%d+")
            head = head_of("c", retries, lease.fence, now_ms, lease.number, past)
        end
        ended[n] = { uid, record_of(head, ARGV[i + 2], past, blob), blob }
        if not first_line or string.sub(blob, 1, #first_line) ~= first_line then
            first_line = string.match(blob, "^[^\n]*\n") or blob
            local name = name_of(blob)
            of_name = names[name] or { 0, 0 }
            names[name] = of_name
        end
        of_name[1], of_name[2] = of_name[1] + 1, of_name[2] + lease.ms
    end
    if has_past then
        redis.call("HDEL", KEYS.attempts, unpack(uids))
        redis.call("HDEL", KEYS.errors, unpack(uids))
        redis.call("HDEL", KEYS.reasons, unpack(uids))
    end
    keep(ended, now_ms)
    tally("completed", #mine, now_ms)
    local ran_ms = 0
    for name, counted in pairs(names) do
        tally_name("completed", name, counted[1], now_ms)
        tally_name("ran_ms", name, counted[2], now_ms)
        ran_ms = ran_ms + counted[2]
    end
    took("ran", #mine, ran_ms, longest_ms, now_ms)
    -- Most have no key and no expiry, nobody waits for them, and nobody for room.
    local number_tied = redis.call(
        "EXISTS", KEYS.line_of, KEYS.full, KEYS.unique_of, KEYS.cancels, KEYS.progress, KEYS.expiry, KEYS.waiters
    )
    if number_tied > 0 then
        -- include: wake limits lines turns room unique closing endings
        local keys = end_turns(uids)
        close(uids)
        let_in(keys, now_ms)
        tell_waiters(uids)
    end
end

-- Each finish pays for two old results, so what is kept stays bounded without a sweeper.
forget(2 * math.max(#mine, 1), now_ms)
return answer
