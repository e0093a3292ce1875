-- Add tasks to a queue: ready now, or due later. Each uid is added once, however often it is sent.
--
-- keys:    body ready[4] due held seen results finished running attempts errors reasons expiry progress unique unique_of wake counters waiters waiting line_of
-- args:    seen_for_ms result_ttl_ms ended_channel
-- items:   uid when blob
-- returns: how many were new, then number (from 1) and uid for each item that another task stands for
--
-- when: "0" now, "+ms" from now, "=ms" since 1970; for a body that says so followed by
-- ";ms until it expires;what to do about its unique key" (drop: the task that has it stands for the
-- new one; replace: that one is cancelled, if it does not run; serial: the new one waits in line for the key).
-- A uid that begins with "=" was given by the caller or a schedule and is remembered in `seen`.
-- Invariant: a uid in ready or due has a body. The first write is the HSET, so a full server refuses cleanly.
-- include: time ready wake traits expired batch lines unique unstarted endings

local now_ms, now_us = server_time()

-- A uid that lives or has ended is known however it comes again: a call may arrive late, after its own repeat.
-- Of many that is asked at once, by pages.
local MANY, PAGE = 8, 3 * CHUNK
local known = #ARGV >= FIRST_ITEM + 3 * MANY and {}
for first = FIRST_ITEM, known and #ARGV or 0, PAGE do
    local uids = {}
    for i = first, math.min(first + PAGE - 1, #ARGV), 3 do
        uids[#uids + 1] = ARGV[i]
    end
    for _, hash in ipairs({ body, results }) do
        for n, found in ipairs(redis.call("HMGET", hash, unpack(uids))) do
            known[uids[n]] = known[uids[n]] or found
        end
    end
end

local function is_known(uid, named)
    if named and redis.call("ZSCORE", seen, uid) then
        return true
    elseif known then
        return known[uid]
    end
    return redis.call("HEXISTS", body, uid) == 1 or redis.call("HEXISTS", results, uid) == 1
end

-- Who has the key, unless that task has expired or may be replaced.
local function holder_of(key, mode)
    local uid = redis.call("HGET", unique, key)
    local blob = uid and redis.call("HGET", body, uid)
    if not blob then
        return nil
    end
    if has_expired(uid, blob, now_ms) then
        local _, successor = first_in_line("u" .. key)
        return successor, uid, "e"
    end
    local is_waiting = redis.call("HEXISTS", running, uid) == 0 and not redis.call("ZSCORE", held, uid)
    if mode == "replace" and is_waiting then
        return nil, uid, "x"
    end
    return uid
end

local bodies, fresh, twice, named_ids = {}, {}, {}, {}
local answer, keys_taken, over, expiries, key_awaited = { 0 }, {}, {}, {}, {}
for i = FIRST_ITEM, #ARGV, 3 do
    local uid, blob = ARGV[i], ARGV[i + 2]
    local named = string.byte(uid, 1) == EQUALS
    local wanted = not twice[uid] and not is_known(uid, named)
    if wanted and string.byte(blob, 3) ~= 48 then
        local expires_ms, mode = string.match(ARGV[i + 1], "^[^;]*;(%d*);(%a*)$")
        if is_unique(blob) then
            local key = cjson.decode(string.sub(blob, 4)).u
            local holder, gone, state = keys_taken[key]
            if not holder then
                holder, gone, state = holder_of(key, mode)
            end
            if holder and mode == "serial" then
                key_awaited[uid] = key
            elseif holder then
                wanted = false
                answer[#answer + 1] = (i - FIRST_ITEM) / 3 + 1
                answer[#answer + 1] = holder
            else
                keys_taken[key] = uid
                if gone then
                    over[#over + 1] = { gone, state }
                end
            end
        end
        if wanted and expires_ms ~= "" then
            expiries[#expiries + 1] = digits(now_ms + expires_ms)
            expiries[#expiries + 1] = uid
        end
    end
    if wanted then
        twice[uid] = true
        fresh[#fresh + 1] = i
        bodies[#bodies + 1] = uid
        bodies[#bodies + 1] = blob
        if named then
            named_ids[#named_ids + 1] = digits(now_ms)
            named_ids[#named_ids + 1] = uid
        end
    end
end
if #fresh == 0 then
    return answer
end
in_chunks("HSET", body, bodies)

-- First the keys, then the ends of those that had them: so nobody who waits in line has the key in between.
for key, uid in pairs(keys_taken) do
    redis.call("HSET", unique, key, uid)
    redis.call("HSET", unique_of, uid, key)
end
for _, ended in ipairs(over) do
    end_unstarted(ended[1], redis.call("HGET", body, ended[1]), ended[2], now_ms, result_ttl_ms)
    tell_waiters({ ended[1] })
end
in_chunks("ZADD", expiry, expiries)

local earliest = redis.call("ZRANGE", due, 0, 0, "WITHSCORES")[2]
local lists, later, somebody_is_needed = { [0] = {}, {}, {}, {} }, {}, false
for n, i in ipairs(fresh) do
    local when = string.match(ARGV[i + 1], "^[^;]*")
    local key = key_awaited[ARGV[i]]
    if when == "0" and not key then
        somebody_is_needed = true
        local list = lists[tonumber(string.sub(ARGV[i + 2], 2, 2))]
        list[#list + 1] = ARGV[i]
    else
        local at_ms = tonumber(string.sub(when, 2)) or 0
        if string.sub(when, 1, 1) ~= "=" then
            at_ms = now_ms + at_ms
        end
        if key then
            stand_in_line("u" .. key, arrival(now_us, n) .. "|" .. digits(at_ms), ARGV[i])
        else
            later[#later + 1] = digits(at_ms)
            later[#later + 1] = ARGV[i]
            -- Somebody must hear of a new earliest due time, or all would sleep past it.
            somebody_is_needed = somebody_is_needed or not earliest or at_ms < tonumber(earliest)
        end
    end
end
for priority = 0, 3 do
    in_chunks("RPUSH", ready[priority + 1], lists[priority])
end
in_chunks("ZADD", due, later)
if #named_ids > 0 then
    in_chunks("ZADD", seen, named_ids)
    local old = redis.call("ZRANGE", seen, "-inf", digits(now_ms - seen_for_ms), "BYSCORE", "LIMIT", 0, 100)
    in_chunks("ZREM", seen, old)
end
redis.call("HINCRBY", counters, "enqueued", #fresh)
if somebody_is_needed then
    wake_one()
end
answer[1] = #fresh
return answer
