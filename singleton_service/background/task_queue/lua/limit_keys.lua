-- Limit how many tasks of each limit key run at once and start in a time, or lift the limits; a bounded lot of keys a call.
--
-- keys:    settings waiting turns due pace wake
-- args:    limits cursor
-- returns: where to go on, "" at the end
--
-- limits: as limit.lua takes them. cursor: "new" at first.
-- A new pace begins anew: the next start of the old one may be an hour away. So who waits for it is looked at again, and
-- then each line. Should nobody go on in between, a key has its room when one of its tasks has ended.
-- include: time wake limits lines turns

local LOT = 100

local now_ms = server_time()
local cursor = ARGV.cursor
if cursor == "new" then
    if ARGV.limits == (redis.call("HGET", KEYS.settings, "key_limits") or "0|0|0") then
        return ""
    end
    redis.call("HDEL", KEYS.settings, "key_limits")
    if ARGV.limits ~= "0|0|0" then
        redis.call("HSET", KEYS.settings, "key_limits", ARGV.limits)
    end
    cursor = "pace"
end

if cursor == "pace" then
    local paced = redis.call("ZPOPMIN", KEYS.pace, LOT)
    for n = 1, #paced, 2 do
        for priority = 0, 3 do
            local uid = redis.call("HGET", KEYS.turns, priority .. paced[n])
            if uid and redis.call("ZSCORE", KEYS.due, uid) then
                redis.call("ZADD", KEYS.due, digits(now_ms), uid)
                wake_one()
            end
        end
    end
    return #paced > 0 and "pace" or "l"
end

for _ = 1, LOT do
    -- The next line after the one that was looked at last.
    local member = redis.call("ZRANGE", KEYS.waiting, "[" .. cursor .. "\v", "(m", "BYLEX", "LIMIT", 0, 1)[1]
    if not member then
        return ""
    end
    local key = turn_of(member)
    let_in({ key }, now_ms)
    cursor = "l" .. key
end
return cursor
