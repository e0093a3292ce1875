-- Aside. What fetch passes over, because its worker has no place for tasks of that name, goes to a list of its own, one
-- for each priority and name, so that it hides nothing behind it and is passed over once. To all others it is ready, and
-- it goes first, for it came first. `aside` names these lists, by when they were last taken from: so they take turns.
-- Their keys are not in KEYS, for no client knows which there are; they share the slot. Needs keys: aside.
local function key_aside(list)
    return aside .. ":" .. list
end

-- Those made at the same priority and by us sort by when that was.
local function is_older(uid, than)
    return string.byte(uid, 1) ~= 61 and string.byte(than, 1) ~= 61 and string.sub(uid, 2, 10) < string.sub(than, 2, 10)
end

local function put_aside(priority, name, uids, now_us)
    local list = priority .. name
    local first = redis.call("LINDEX", key_aside(list), 0)
    if first and is_older(uids[1], first) then
        -- Handed back since: they were in front of those that are here.
        for n = #uids, 1, -1 do
            redis.call("LPUSH", key_aside(list), uids[n])
        end
    else
        redis.call("RPUSH", key_aside(list), unpack(uids))
    end
    redis.call("ZADD", aside, "NX", digits(now_us), list)
end

local function took_from_aside(list, now_us)
    if redis.call("EXISTS", key_aside(list)) == 0 then
        redis.call("ZREM", aside, list)
    else
        redis.call("ZADD", aside, digits(now_us), list)
    end
end
