-- Note how far running tasks have come, if the caller still holds them, and tell who watches.
--
-- keys:    running progress waiters
-- args:    ended_channel
-- items:   uid lease percent message
-- returns: a string of 1 and 0 per item: was it the caller's
--
-- Goes with the task's end. Begins with a delete, so a full server takes note: there is at most one per running task.
-- include: time

local _, now_us = server_time()
local is_awaited = redis.call("EXISTS", KEYS.waiters) == 1
local verdict = {}

local function tell_watchers(uid, note)
    -- Most marks, see await.lua, are of those who wait for the end alone.
    local marks = is_awaited and redis.call("HGET", KEYS.waiters, uid)
    if marks and string.find(marks, " p:", 1, true) then
        redis.call("PUBLISH", ARGV.ended_channel, uid .. " " .. note)
    end
end

for i = FIRST_ITEM, #ARGV, 4 do
    local uid = ARGV[i]
    if redis.call("HGET", KEYS.running, uid) == ARGV[i + 1] then
        local note = digits(now_us) .. "|" .. ARGV[i + 2] .. "|" .. ARGV[i + 3]
        redis.call("HDEL", KEYS.progress, uid)
        redis.call("HSET", KEYS.progress, uid, note)
        tell_watchers(uid, note)
        verdict[#verdict + 1] = "1"
    else
        verdict[#verdict + 1] = "0"
    end
end
return table.concat(verdict)
