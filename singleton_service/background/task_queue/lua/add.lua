-- Add plain tasks to a queue that has no bound, ready now: what most calls of enqueue.lua would do, in half its time.
--
-- keys:    body shelves ready[4] results wake counters settings
-- args:    protocol
-- items:   uid blob
-- returns: how many were new, 0, then for each item that is not new its number (from 1) and its uid
--
-- Plain: see include/plain.lua. No more than 1,000.
-- Invariant: a uid in ready has a body. The first write is that of the bodies, so a full server refuses cleanly.
-- include: time plain shelves count tally wake

local number = redis.call("HGET", KEYS.settings, "protocol")
-- include: version

local function count_and_wake(number_new)
    tally("enqueued", number_new, (server_time()))
    wake_one()
end

local function priority_of(blob)
    return string.byte(blob, 2) - 48
end

-- A uid that lives or has ended is known however it comes again: a call may arrive late, after its own repeat.
-- Of many that is asked at once, and their bodies are put at once.
local MANY = 8
local fresh
if #ARGV > FIRST_ITEM + 2 * MANY then
    -- include: batch bodies
    local asked, beginning = {}, string.sub(ARGV[FIRST_ITEM + 1], 1, 2)
    local is_alike = true
    for i = FIRST_ITEM, #ARGV, 2 do
        asked[#asked + 1] = ARGV[i]
        is_alike = is_alike and string.sub(ARGV[i + 1], 1, 2) == beginning
    end
    local order, positions = by_shelf(asked)
    local living, ended = blobs_at(asked, order, positions), redis.call("HMGET", KEYS.results, unpack(asked))
    is_alike = is_alike and #order == 1
    for n = 1, #asked do
        is_alike = is_alike and not living[n] and not ended[n]
    end
    -- As a rule all are new, of one priority and one shelf: they go in as they came.
    if is_alike and put_pairs(order[1], ARGV, FIRST_ITEM) == #asked then
        redis.call("RPUSH", KEYS.ready[priority_of(beginning) + 1], unpack(asked))
        count_and_wake(#asked)
        return { #asked, 0 }
    end
    local uids, blobs = {}, {}
    for n, uid in ipairs(asked) do
        if not living[n] and not ended[n] then
            uids[#uids + 1] = uid
            blobs[#blobs + 1] = ARGV[FIRST_ITEM + 2 * n - 1]
        end
    end
    put_blobs(uids, blobs)
    fresh = {}
    for _, uid in ipairs(uids) do
        fresh[uid] = true
    end
end

local function is_new(uid, blob)
    if fresh then
        local is_first = fresh[uid]
        fresh[uid] = nil
        return is_first
    end
    local shelf = shelf_of(uid)
    local has_ended = redis.call("HEXISTS", KEYS.results, uid) == 1
    if has_ended or redis.call("HSETNX", key_of(shelf), uid, blob) == 0 then
        return false
    end
    if shelf ~= "" then
        redis.call("ZADD", KEYS.shelves, "0", shelf)
    end
    return true
end

local answer, lists, number_new = { 0, 0 }, {}, 0
for i = FIRST_ITEM, #ARGV, 2 do
    local uid, blob = ARGV[i], ARGV[i + 1]
    if is_new(uid, blob) then
        local priority = priority_of(blob)
        local list = lists[priority] or {}
        lists[priority] = list
        list[#list + 1] = uid
        number_new = number_new + 1
    else
        answer[#answer + 1] = (i - FIRST_ITEM) / 2 + 1
        answer[#answer + 1] = uid
    end
end
if number_new > 0 then
    for priority, list in pairs(lists) do
        redis.call("RPUSH", KEYS.ready[priority + 1], unpack(list))
    end
    count_and_wake(number_new)
end
answer[1] = number_new
return answer
