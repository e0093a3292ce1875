-- Lease up to max_count ready tasks to a worker, after moving what is due to ready.
--
-- keys:    body shelves ready[4] suspects due held running owned workers attempts errors reasons expiry progress unique unique_of results finished kept settings full counters waiters wake waiting line_of pace turns aside
-- args:    protocol worker lease_ms max_count start_count take_suspect result_ttl_ms max_results ended_channel
-- items:   lane
-- returns: fence, ms until another task may start (-1: none in sight), what is left, then uid, blob, attempts per task
--
-- start_count: how many of them the worker starts at once; a crash counts only against started tasks.
-- take_suspect: "1" when the worker runs no suspect. A suspect is leased alone.
-- lane: how many tasks of some names to bring at most, and these names, a line each. Others go aside, so many at a time.
-- what is left: "1" when there may be more to look at now, else "0"; then for each lane whether tasks of it are aside.
-- Invariant: a uid leaves a ready list only for `running`, or to go aside (or because it has no body: a tombstone).
-- A paused queue gives nothing, one with limits no more than they allow. What has expired ends here instead of running.
-- Its first write is a delete, so a full server can still be drained.
-- include: time batch plain shelves bodies count tally names gauges ages ready wake limits lines turns traits expired sight attempts aside

local PROMOTED, ROUNDS, PACE_KEPT_MS, MANY = 100, 100, 1000, 32
-- Ends take when there are that many bytes. It begins with small portions, so that large bodies can't come to much more:
-- an answer of hundreds of MiB would hold up everybody else.
local ENOUGH_BYTES, FIRST_PORTION, LARGEST_PORTION = 4 * 1024 * 1024, 4, 64
local MOST_ASIDE = 1000

local last_fence, paused, limits, next_start_us, key_limits, number, number_aside = unpack(
    redis.call("HMGET", KEYS.settings, "fence", "paused", "limits", "next_start", "key_limits", "protocol", "aside")
)
number_aside = tonumber(number_aside or "0")
-- include: version
redis.call("DEL", KEYS.wake, KEYS.full)
local now_ms, now_us = server_time()

local function make_ready(uid, priority, command)
    local _, crashes = history(uid)
    if crashes >= SUSPECT_AFTER then
        redis.call("RPUSH", KEYS.suspects, uid)
    else
        redis.call(command, KEYS.ready[priority + 1], uid)
    end
end

-- At the tail: so the keys take turns.
local function bring_forward(key)
    local uid, priority = next_in_front(key)
    if uid then
        make_ready(uid, priority, "RPUSH")
    end
end

local function promote(zset, command)
    local uids = redis.call("ZRANGE", zset, "-inf", digits(now_ms), "BYSCORE", "LIMIT", 0, PROMOTED)
    if #uids == 0 then
        return
    end
    local places = redis.call("EXISTS", KEYS.line_of) == 1 and redis.call("HMGET", KEYS.line_of, unpack(uids)) or {}
    in_chunks("ZREM", zset, uids)
    for n, uid in ipairs(uids) do
        local key, front = turn_of(places[n])
        if not key then
            make_ready(uid, priority_of(uid), command)
        elseif redis.call("HGET", KEYS.turns, front) == uid then
            make_ready(uid, tonumber(string.sub(front, 1, 1)), "RPUSH")
        else
            redis.call("ZADD", KEYS.waiting, 0, places[n])
            bring_forward(key)
        end
    end
end

if redis.call("EXISTS", KEYS.held, KEYS.due) > 0 then
    -- Held tasks have waited already: back to the head.
    promote(KEYS.held, "LPUSH")
    promote(KEYS.due, "RPUSH")
end

local wanted = paused and 0 or tonumber(ARGV.max_count)
if limits and wanted > 0 then
    wanted = math.min(wanted, (room_in(limits, next_start_us, now_us)))
end
local uids, blobs, bytes, portion = {}, {}, 0, FIRST_PORTION

local lanes, lane_of, passed, passed_bytes = {}, {}, 0, 0
for i = FIRST_ITEM, #ARGV do
    local room, names_begin = string.match(ARGV[i], "^(%d+)()")
    local lane = { room = tonumber(room) }
    for name in string.gmatch(string.sub(ARGV[i], names_begin), "\n([^\n]+)") do
        lane_of[name] = lane
    end
    lanes[#lanes + 1] = lane
end

-- A caller's own uid can come again after it was cancelled, and then stands in a list twice, or in a list and elsewhere.
local taken = {}

local function is_elsewhere(uid)
    local twice = taken[uid]
    taken[uid] = true
    return twice
        or redis.call("HEXISTS", KEYS.running, uid) == 1
        or redis.call("ZSCORE", KEYS.due, uid)
        or redis.call("ZSCORE", KEYS.held, uid)
end

-- Whether a task has its turn now. False: it goes on waiting; nil: this is not its place.
local function has_its_turn(uid, place)
    local key, front = turn_of(place)
    if not key or redis.call("HGET", KEYS.turns, front) ~= uid then
        return nil
    end
    if not key_has_room(key) then
        redis.call("HDEL", KEYS.turns, front)
        redis.call("ZADD", KEYS.waiting, 0, place)
        return false
    end
    local _, every_us, early_us = parts_of(key_limits)
    if every_us > 0 then
        local on_time_us = tonumber(redis.call("ZSCORE", KEYS.pace, key) or "0")
        local number, wait_us = allowed_by_pace(every_us, early_us, on_time_us, now_us)
        if number == 0 then
            -- It stays in front, and is due when its key may start another.
            redis.call("ZADD", KEYS.due, digits(math.ceil((now_us + wait_us) / 1000)), uid)
            return false
        end
        local next_us = math.max(on_time_us, now_us) + every_us
        redis.call("ZADD", KEYS.pace, digits(next_us), key)
        -- Paces of keys that start no more are forgotten: two with each start, all when none starts.
        in_chunks("ZREM", KEYS.pace, redis.call("ZRANGE", KEYS.pace, "-inf", digits(now_us), "BYSCORE", "LIMIT", 0, 2))
        redis.call("PEXPIRE", KEYS.pace, digits(math.ceil((next_us - now_us) / 1000) + PACE_KEPT_MS))
    end
    redis.call("HDEL", KEYS.turns, front)
    redis.call("HINCRBY", KEYS.turns, "n" .. key, 1)
    bring_forward(key)
    return true
end

-- The same of any task that is out of the ordinary. One that has expired ends here.
local function can_start(uid, blob)
    if string.byte(uid, 1) == EQUALS and is_elsewhere(uid) then
        return nil
    end
    if has_expired(uid, blob, now_ms) then
        -- include: unique records keeping unstarted endings
        end_unstarted(uid, blob, "e", now_ms)
        tell_waiters({ uid })
        return nil
    end
    local place = redis.call("HGET", KEYS.line_of, uid)
    if place then
        return has_its_turn(uid, place)
    end
    return true
end

local function is_enough(limit)
    return #uids >= limit or bytes >= ENOUGH_BYTES
end

local function has_passed_enough()
    return passed >= MOST_ASIDE or passed_bytes >= ENOUGH_BYTES
end

-- Take it, unless it is not its turn or it is none any more.
local function consider(uid, blob, lane)
    local its_turn = blob and true
    if blob and (string.byte(blob, 3) ~= PLAIN or string.byte(uid, 1) == EQUALS) then
        its_turn = can_start(uid, blob)
    end
    if not blob or its_turn == nil then
        redis.call("HINCRBY", KEYS.counters, "tombstones", -1)
    elseif its_turn then
        uids[#uids + 1] = uid
        blobs[#blobs + 1] = blob
        bytes = bytes + #blob
        if lane then
            lane.room = lane.room - 1
        end
    end
end

-- Where some may go aside, nobody knows how many are wanted of those: then they stay until they have been looked at.
local function first_of(list, number)
    if lanes[1] then
        return redis.call("LRANGE", list, 0, portion - 1)
    end
    return redis.call("LPOP", list, math.min(number, portion))
end

-- For a priority, what there is no place for goes aside.
local function take(list, limit, priority)
    for _ = 1, ROUNDS do
        if is_enough(limit) or has_passed_enough() then
            return
        end
        local first = first_of(list, limit - #uids)
        if not first or #first == 0 then
            return
        end
        portion = math.min(2 * portion, LARGEST_PORTION)
        local found, to_go_aside, seen_here = blobs_of(first), {}, 0
        for n, uid in ipairs(first) do
            if lanes[1] and is_enough(limit) then
                break
            end
            seen_here = n
            local blob = found[n]
            local called = blob and lanes[1] and name_of(blob)
            local lane = called and lane_of[called]
            if lane and lane.room <= 0 and priority then
                passed, passed_bytes = passed + 1, passed_bytes + #blob
                to_go_aside[called] = to_go_aside[called] or {}
                table.insert(to_go_aside[called], digits(number_aside + passed) .. "|" .. uid)
            else
                consider(uid, blob, lane)
            end
        end
        if lanes[1] then
            redis.call("LTRIM", list, seen_here, -1)
        end
        for called, entries in pairs(to_go_aside) do
            put_aside(priority, called, entries)
        end
    end
end

local function lists_with_room(priority)
    local lists = {}
    for _, list in ipairs(redis.call("ZRANGE", KEYS.aside, 0, -1)) do
        local lane = lane_of[string.sub(list, 2)]
        if string.byte(list, 1) == 48 + priority and (not lane or lane.room > 0) then
            lists[#lists + 1] = list
        end
    end
    return lists
end

local function take_aside(limit, priority)
    for _ = 1, ROUNDS do
        local lists = lists_with_room(priority)
        if #lists == 0 or is_enough(limit) then
            return
        end
        local chosen, chosen_lanes, gone, room = {}, {}, {}, {}
        for _, entry in ipairs(first_aside(lists, portion)) do
            local _, uid, list = unpack(entry)
            local lane = lane_of[string.sub(list, 2)]
            local places = lane and (room[lane] or lane.room) or limit
            if #chosen < limit - #uids and places > 0 then
                chosen[#chosen + 1] = uid
                chosen_lanes[#chosen] = lane or false
                gone[list] = (gone[list] or 0) + 1
                if lane then
                    room[lane] = places - 1
                end
            end
        end
        if #chosen == 0 then
            return
        end
        portion = math.min(2 * portion, LARGEST_PORTION)
        for list, number in pairs(gone) do
            drop_aside(list, number)
        end
        local found = blobs_of(chosen)
        for n, uid in ipairs(chosen) do
            consider(uid, found[n], chosen_lanes[n])
        end
    end
end

if wanted > 0 and ARGV.take_suspect == "1" then
    take(KEYS.suspects, 1)
end
local is_any_aside = redis.call("EXISTS", KEYS.aside) == 1
if #uids == 0 and wanted > 0 then
    for priority = 3, 0, -1 do
        if is_any_aside then
            take_aside(wanted, priority)
        end
        take(KEYS.ready[priority + 1], wanted, priority)
    end
end

if passed > 0 then
    redis.call("HSET", KEYS.settings, "aside", digits(number_aside + passed))
end
redis.call("ZADD", KEYS.workers, digits(now_ms + ARGV.lease_ms), ARGV.worker)

local function put(hash, fields)
    if #uids < MANY then
        redis.call("HSET", hash, unpack(fields))
        return
    end
    -- include: tables
    fields[#fields + 1], fields[#fields + 2] = FILLER, TOO_LONG
    in_chunks("HSET", hash, fields)
    redis.call("HDEL", hash, FILLER)
end

local fence = digits(math.max(tonumber(last_fence or "0") + 1, now_us))
local leases, index = {}, {}
for n, uid in ipairs(uids) do
    leases[2 * n - 1], leases[2 * n] = uid, fence .. "|" .. ARGV.worker
    index[2 * n - 1], index[2 * n] = uid, n <= tonumber(ARGV.start_count) and "1" or "0"
end
if #uids > 0 then
    redis.call("HSET", KEYS.settings, "fence", fence)
    put(KEYS.running, leases)
    put(KEYS.owned, index)
    if limits then
        local _, every_us = parts_of(limits)
        if every_us > 0 then
            next_start_us = math.max(tonumber(next_start_us or "0"), now_us) + #uids * every_us
            redis.call("HSET", KEYS.settings, "next_start", digits(next_start_us))
        end
    end
end

-- Somebody else may have a place for what went aside just now. What has been there is left to heartbeats: woken for it,
-- those who have none would wake each other for ever.
local is_ready = is_any_ready()
local left, is_for_others = { has_passed_enough() and is_ready and "1" or "0" }, passed > 0
for _, list in ipairs((is_any_aside or passed > 0) and redis.call("ZRANGE", KEYS.aside, 0, -1) or {}) do
    local lane = lane_of[string.sub(list, 2)]
    is_for_others = is_for_others or not lane or lane.room > 0
    if lane then
        lane.is_left = true
    end
end
for _, lane in ipairs(lanes) do
    left[#left + 1] = lane.is_left and "1" or "0"
end
left = table.concat(left)

local next_ms = ms_until_due(now_ms)
if not paused and (is_ready or is_for_others) then
    local ready_ms = ms_until_start(limits, next_start_us, now_us)
    if ready_ms == 0 then
        wake_one()
    elseif ready_ms > 0 then
        next_ms = sooner(next_ms, ready_ms)
    end
end
if #uids == 0 then
    return { "0", next_ms, left }
end

local past = redis.call("HMGET", KEYS.attempts, unpack(uids))
raise("running_most", redis.call("HLEN", KEYS.running), now_ms)
-- One of them tells how long they waited, unless it was meant to: by a delay, a retry, or a caller's own id.
if not past[1] and not starts_later(blobs[1]) and string.byte(uids[1], 1) ~= EQUALS then
    local waited_ms = math.max(0, now_ms - made_ms(uids[1]))
    took("waited", 1, waited_ms, waited_ms, now_ms)
end
local answer = { fence, next_ms, left }
for n, uid in ipairs(uids) do
    answer[#answer + 1] = uid
    answer[#answer + 1] = blobs[n]
    answer[#answer + 1] = past[n] or ""
end
return answer
