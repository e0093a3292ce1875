-- How long there is nothing to do. Needs keys: ready[4] suspects due held running full; include: limits.
local UNBOUNDED = 1e9

-- How many may start now, and if none, in how many ms one may: -1 when a running one has to end first.
local function room_in(limits, next_us, now_us)
    local most, every_us, early_us = parts_of(limits)
    local number, wait_us = UNBOUNDED, 0
    if most > 0 then
        number = math.max(0, most - redis.call("HLEN", KEYS.running))
        if number == 0 then
            return 0, -1
        end
    end
    if every_us > 0 then
        local by_pace
        by_pace, wait_us = allowed_by_pace(every_us, early_us, tonumber(next_us or "0"), now_us)
        number = math.min(number, by_pace)
    end
    return number, math.ceil(wait_us / 1000)
end

local function sooner(one_ms, other_ms)
    if one_ms < 0 or other_ms < 0 then
        return math.max(one_ms, other_ms)
    end
    return math.min(one_ms, other_ms)
end

local function ms_until_due(now_ms)
    local next_ms = -1
    if redis.call("EXISTS", KEYS.due, KEYS.held) == 0 then
        return next_ms
    end
    for _, zset in ipairs({ KEYS.due, KEYS.held }) do
        local first = redis.call("ZRANGE", zset, 0, 0, "WITHSCORES")[2]
        if first then
            next_ms = sooner(next_ms, math.max(0, tonumber(first) - now_ms))
        end
    end
    return next_ms
end

local function is_any_ready()
    return redis.call("EXISTS", KEYS.suspects, KEYS.ready[1], KEYS.ready[2], KEYS.ready[3], KEYS.ready[4]) > 0
end

-- Ms until a task that is ready may start, -1 when another has to end first: then that end is marked as one that wakes
-- somebody.
local function ms_until_start(limits, next_us, now_us)
    if not limits then
        return 0
    end
    local _, wait_ms = room_in(limits, next_us, now_us)
    if wait_ms < 0 then
        redis.call("SET", KEYS.full, "1")
    end
    return wait_ms
end
