-- Taking turns. Of each limit key at most one task of a priority is in front (in ready, in suspects, or due), the
-- others wait in line; so a key with many tasks holds up none with few. `turns` has, per key, how many run ("n" and the
-- key) and who is in front ("0" … "3" and the key). Only fetch, which puts it into ready, knows of paces.
-- Needs keys: waiting line_of turns settings due wake; include: time limits lines wake.
local function turn_of(place)
    if not place then
        return nil
    end
    local key, rank = string.match(place, "^l([^\n]*)\n(%d)")
    return key, key and (3 - rank) .. key
end

local function key_has_room(key)
    local most = parts_of(redis.call("HGET", KEYS.settings, "key_limits"))
    return most == 0 or tonumber(redis.call("HGET", KEYS.turns, "n" .. key) or "0") < most
end

-- Bring the first in line to the front, if its key may run another and nobody as urgent is there. Returns who it is
-- and its priority; the caller puts it where it belongs.
local function next_in_front(key)
    local rank, uid, member = first_in_line("l" .. key)
    if not uid or not key_has_room(key) then
        return nil
    end
    local priority = 3 - string.sub(rank, 1, 1)
    for at_least = priority, 3 do
        if redis.call("HEXISTS", KEYS.turns, at_least .. key) == 1 then
            return nil
        end
    end
    redis.call("ZREM", KEYS.waiting, member)
    redis.call("HSET", KEYS.turns, priority .. key, uid)
    return uid, priority
end

-- Let the next of these keys have its turn: it is due, and somebody is woken for it.
local function let_in(keys, now_ms)
    for _, key in ipairs(keys) do
        local uid = next_in_front(key)
        if uid then
            redis.call("ZADD", KEYS.due, digits(now_ms), uid)
            wake_one()
        end
    end
end
