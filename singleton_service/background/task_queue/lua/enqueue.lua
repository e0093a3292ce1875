-- Add tasks to a queue: ready now, or due later. Each uid is added once, however often it is sent.
--
-- keys:    body shelves ready[4] due held seen results finished kept running attempts errors reasons expiry progress unique unique_of wake counters waiters waiting line_of settings turns
-- args:    protocol max_backlog seen_for_ms result_ttl_ms max_results ended_channel
-- items:   uid when blob
-- returns: how many were new, how many have not started (0: nothing was refused), then for each item that is not new as
--          it was sent its number (from 1) and the uid of the task that stands for it, "" when it was refused
--
-- when: "0" now, "+ms" from now, "=ms" since 1970; for a body that says so followed by
-- ";ms until it expires;what to do about its unique key" (drop: the task that has it stands for the
-- new one; replace: that one is cancelled, if it does not run; serial: the new one waits in line for the key).
-- max_backlog: how many that have not started the queue may hold, 0 for any number. What is beyond is refused, item by
-- item: never what is there already, or takes another's place.
-- A uid that begins with "=" was given by the caller or a schedule and is remembered in `seen`.
-- Invariant: a uid in ready or due has a body. The first write is the HSET, so a full server refuses cleanly.
-- include: time batch plain shelves bodies count tally ready wake limits lines turns traits expired unique records keeping unstarted endings

local number = redis.call("HGET", KEYS.settings, "protocol")
-- include: version

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
    local blobs = blobs_of(uids)
    for n, found in ipairs(redis.call("HMGET", KEYS.results, unpack(uids))) do
        known[uids[n]] = blobs[n] or found
    end
end

local function is_known(uid, named)
    if named and redis.call("ZSCORE", KEYS.seen, uid) then
        return true
    elseif known then
        return known[uid]
    end
    return blob_of(uid) or redis.call("HEXISTS", KEYS.results, uid) == 1
end

-- Who has the key, unless that task has expired or may be replaced.
local function holder_of(key, mode)
    local uid = redis.call("HGET", KEYS.unique, key)
    local blob = uid and blob_of(uid)
    if not blob then
        return nil
    end
    if has_expired(uid, blob, now_ms) then
        local _, successor = first_in_line("u" .. key)
        return successor, uid, "e"
    end
    local is_waiting = redis.call("HEXISTS", KEYS.running, uid) == 0 and not redis.call("ZSCORE", KEYS.held, uid)
    if mode == "replace" and is_waiting then
        return nil, uid, "x"
    end
    return uid
end

-- What came, or came back to life, and has neither ended nor started.
local function unstarted()
    local enqueued, revived, completed, failed, cancelled, expired = unpack(
        redis.call("HMGET", KEYS.counters, "enqueued", "revived", "completed", "failed", "cancelled", "expired")
    )
    return (enqueued or 0) + (revived or 0) - (completed or 0) - (failed or 0) - (cancelled or 0) - (expired or 0)
        - redis.call("HLEN", KEYS.running)
end

local room = ARGV.max_backlog ~= "0" and ARGV.max_backlog - unstarted()

local uids, blobs, fresh, twice, named_ids = {}, {}, {}, {}, {}
local answer, keys_taken, over, expiries, key_awaited, limit_key_of = { 0, 0 }, {}, {}, {}, {}, {}

local function is_not_new(i, uid)
    answer[#answer + 1] = (i - FIRST_ITEM) / 3 + 1
    answer[#answer + 1] = uid
end

for i = FIRST_ITEM, #ARGV, 3 do
    local uid, blob = ARGV[i], ARGV[i + 2]
    local named = string.byte(uid, 1) == EQUALS
    local wanted = not twice[uid] and not is_known(uid, named)
    local expires_ms, mode, key, awaited, holder, gone, state, limit_key = ""
    if wanted and string.byte(blob, 3) ~= PLAIN then
        expires_ms, mode = string.match(ARGV[i + 1] .. ";;", "^[^;]*;(%d*);(%a*);*$")
        local extras = (is_unique(blob) or has_limit_key(blob)) and extras_of(blob) or {}
        limit_key = extras.l
        if is_unique(blob) then
            key = extras.u
            holder = keys_taken[key]
            if not holder then
                holder, gone, state = holder_of(key, mode)
            end
            if holder and mode == "serial" then
                awaited, key, holder, gone = key, nil, nil, nil
            end
        end
    end
    if holder then
        is_not_new(i, holder)
    elseif wanted and room and room < 1 and not gone then
        is_not_new(i, "")
        answer[2] = ARGV.max_backlog - room
    elseif wanted then
        if gone then
            over[#over + 1] = { gone, state }
        elseif room then
            room = room - 1
        end
        if key then
            keys_taken[key] = uid
        elseif awaited then
            key_awaited[uid] = awaited
        end
        limit_key_of[uid] = limit_key
        if expires_ms ~= "" then
            expiries[#expiries + 1] = digits(now_ms + expires_ms)
            expiries[#expiries + 1] = uid
        end
        twice[uid] = true
        fresh[#fresh + 1] = i
        uids[#uids + 1] = uid
        blobs[#blobs + 1] = blob
        if named then
            named_ids[#named_ids + 1] = digits(now_ms)
            named_ids[#named_ids + 1] = uid
        end
    end
end
if #fresh == 0 then
    return answer
end
put_blobs(uids, blobs)

-- First the keys, then the ends of those that had them: so nobody who waits in line has the key in between.
for key, uid in pairs(keys_taken) do
    redis.call("HSET", KEYS.unique, key, uid)
    redis.call("HSET", KEYS.unique_of, uid, key)
end
for _, ended in ipairs(over) do
    end_unstarted(ended[1], blob_of(ended[1]), ended[2], now_ms)
    tell_waiters({ ended[1] })
end
in_chunks("ZADD", KEYS.expiry, expiries)

local earliest = redis.call("ZRANGE", KEYS.due, 0, 0, "WITHSCORES")[2]
local lists, later, somebody_is_needed = { [0] = {}, {}, {}, {} }, {}, false
local in_line, places, limit_keys = {}, {}, {}

local function keep_place(uid, place, waits)
    places[#places + 1] = uid
    places[#places + 1] = place
    if waits then
        in_line[#in_line + 1] = 0
        in_line[#in_line + 1] = place
    end
end

for n, i in ipairs(fresh) do
    local uid, blob = ARGV[i], ARGV[i + 2]
    local when, limit_key = ARGV[i + 1], limit_key_of[uid]
    if string.byte(blob, 3) ~= PLAIN then
        when = string.match(when, "^[^;]*")
    end
    local at_ms = when ~= "0" and tonumber(string.sub(when, 2)) or 0
    if string.byte(when, 1) ~= EQUALS then
        at_ms = now_ms + at_ms
    end
    local key = key_awaited[uid]
    if key then
        local rank = arrival(now_us, n) .. "|" .. digits(at_ms) .. "|" .. (limit_key or "")
        keep_place(uid, place_in("u" .. key, rank, uid), true)
    else
        if limit_key then
            keep_place(uid, place_for_turn(limit_key, string.sub(blob, 2, 2), arrival(now_us, n), uid), when == "0")
        end
        if when ~= "0" then
            later[#later + 1] = digits(at_ms)
            later[#later + 1] = uid
            -- Somebody must hear of a new earliest due time, or all would sleep past it.
            somebody_is_needed = somebody_is_needed or not earliest or at_ms < tonumber(earliest)
        elseif not limit_key then
            somebody_is_needed = true
            local list = lists[tonumber(string.sub(blob, 2, 2))]
            list[#list + 1] = uid
        elseif not limit_keys[limit_key] then
            limit_keys[limit_key] = true
            limit_keys[#limit_keys + 1] = limit_key
        end
    end
end
for priority = 0, 3 do
    in_chunks("RPUSH", KEYS.ready[priority + 1], lists[priority])
end
in_chunks("ZADD", KEYS.due, later)
in_chunks("HSET", KEYS.line_of, places)
in_chunks("ZADD", KEYS.waiting, in_line)
let_in(limit_keys, now_ms)
if #named_ids > 0 then
    in_chunks("ZADD", KEYS.seen, named_ids)
    local old = redis.call("ZRANGE", KEYS.seen, "-inf", digits(now_ms - ARGV.seen_for_ms), "BYSCORE", "LIMIT", 0, 100)
    in_chunks("ZREM", KEYS.seen, old)
end
tally("enqueued", #fresh, now_ms)
if somebody_is_needed then
    wake_one()
end
answer[1] = #fresh
return answer
