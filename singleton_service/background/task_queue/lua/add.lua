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

-- A uid that lives or has ended is known however it comes again: a call may arrive late, after its own repeat.
-- Of many that is asked at once, and their bodies are put at once.
local MANY = 8
local fresh
if #ARGV > FIRST_ITEM + 2 * MANY then
    -- include: batch bodies
    local asked, uids, blobs = {}, {}, {}
    for i = FIRST_ITEM, #ARGV, 2 do
        asked[#asked + 1] = ARGV[i]
    end
    local living, ended = blobs_of(asked), redis.call("HMGET", KEYS.results, unpack(asked))
    fresh = {}
    for n, uid in ipairs(asked) do
        if not living[n] and not ended[n] then
            fresh[uid] = true
            uids[#uids + 1] = uid
            blobs[#blobs + 1] = ARGV[FIRST_ITEM + 2 * n - 1]
        end
    end
    put_blobs(uids, blobs)
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
        local priority = string.byte(blob, 2) - 48
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
    tally("enqueued", number_new, (server_time()))
    wake_one()
end
answer[1] = number_new
return answer
