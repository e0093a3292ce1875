-- Ask to be told when tasks end, or of their progress as well, or no more; and say which have ended.
--
-- keys:    body shelves dead results running attempts expiry waiters
-- args:    who
-- items:   uid wanted
-- returns: a string per item: w waiting, e ended, u unknown, n not awaited any more
--
-- who: 8 characters that name a process. wanted: "e" the end, "p" progress as well, "n" nothing any more.
-- A mark goes with the task's end, or when nobody waits any more. Who waits asks again now and then, so what is pushed
-- out by too many, or forgotten by the server, comes back.
-- Begins with a delete, so on a full server, too, one can wait for what is being drained.
-- include: time batch plain shelves bodies traits expired

local MARK_LENGTH, MOST_MARKS = 11, 32

local now_ms = server_time()

-- Marks are " e:" or " p:" and who, one after the other.
local function mark(uid, wanted)
    local marks = redis.call("HGET", KEYS.waiters, uid) or ""
    local mine = wanted ~= "n" and " " .. wanted .. ":" .. ARGV.who or ""
    if mine ~= "" and string.find(marks, mine, 1, true) then
        return
    end
    local all = string.gsub(marks, " [ep]:" .. ARGV.who, "") .. mine
    redis.call("HDEL", KEYS.waiters, uid)
    if all ~= "" then
        redis.call("HSET", KEYS.waiters, uid, string.sub(all, -MARK_LENGTH * MOST_MARKS))
    end
end

local verdict = {}
for i = FIRST_ITEM, #ARGV, 2 do
    local uid, wanted = ARGV[i], ARGV[i + 1]
    local blob = blob_of(uid)
    if wanted == "n" then
        mark(uid, wanted)
        verdict[#verdict + 1] = "n"
    elseif not blob then
        verdict[#verdict + 1] = redis.call("HEXISTS", KEYS.results, uid) == 1 and "e" or "u"
    elseif redis.call("ZSCORE", KEYS.dead, uid) or has_expired(uid, blob, now_ms) then
        verdict[#verdict + 1] = "e"
    else
        mark(uid, wanted)
        verdict[#verdict + 1] = "w"
    end
end
return table.concat(verdict)
