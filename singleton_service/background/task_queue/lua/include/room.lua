-- Leases have ended: who waits for room in the queue is told, and the limit keys that have room are returned. Their next
-- are to be let in once the tasks are in their new places. Needs keys: line_of turns full wake; include: wake turns.
local function end_turns(uids)
    local keys, seen_here = {}, {}
    if #uids == 0 or redis.call("EXISTS", KEYS.line_of, KEYS.full) == 0 then
        return keys
    end
    if redis.call("DEL", KEYS.full) == 1 then
        wake_one()
    end
    for _, place in ipairs(redis.call("HMGET", KEYS.line_of, unpack(uids))) do
        local key = turn_of(place)
        if key then
            if redis.call("HINCRBY", KEYS.turns, "n" .. key, -1) == 0 then
                redis.call("HDEL", KEYS.turns, "n" .. key)
            end
            if not seen_here[key] then
                seen_here[key] = true
                keys[#keys + 1] = key
            end
        end
    end
    return keys
end
