-- Aside. What fetch passes over, because its worker has no place for tasks of that name, goes to a list of its own, one
-- for each priority and name, so that it hides nothing behind it and is passed over once. To all others it is ready, and
-- it goes first, for it came first. The entries are "number|uid"; by the numbers, those of all lists have one order.
-- `aside` names the lists. Their keys are not in KEYS, for no client knows which there are; they share the slot.
-- Needs keys: aside settings.
local function key_aside(list)
    return KEYS.aside .. ":" .. list
end

local function parts_of_entry(entry)
    local number, uid = string.match(entry, "^(-?%d+)|(.*)$")
    return tonumber(number), uid
end

local function put_aside(priority, name, entries)
    local list = priority .. name
    redis.call("RPUSH", key_aside(list), unpack(entries))
    redis.call("ZADD", KEYS.aside, 0, list)
end

-- In front of all that is aside.
local function put_aside_first(priority, name, uid)
    local list = priority .. name
    redis.call("LPUSH", key_aside(list), redis.call("HINCRBY", KEYS.settings, "aside_front", -1) .. "|" .. uid)
    redis.call("ZADD", KEYS.aside, 0, list)
end

local function comes_before(entry, other)
    return entry[1] < other[1]
end

-- The first { number, uid, list } of these lists, in their order, from each no more than so many.
local function first_aside(lists, most)
    local entries, last = {}, math.huge
    for _, list in ipairs(lists) do
        local here = redis.call("LRANGE", key_aside(list), 0, most - 1)
        for _, entry in ipairs(here) do
            local number, uid = parts_of_entry(entry)
            entries[#entries + 1] = { number, uid, list }
        end
        if #here == most then
            -- What this list has further on may come before the rest of the others.
            last = math.min(last, entries[#entries][1])
        end
    end
    table.sort(entries, comes_before)
    while #entries > 0 and entries[#entries][1] > last do
        entries[#entries] = nil
    end
    return entries
end

local function drop_aside(list, number)
    redis.call("LTRIM", key_aside(list), number, -1)
    if redis.call("EXISTS", key_aside(list)) == 0 then
        redis.call("ZREM", KEYS.aside, list)
    end
end
