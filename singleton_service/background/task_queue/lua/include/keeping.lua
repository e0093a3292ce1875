-- Keeping what became of tasks, in the order they ended, and forgetting the oldest. Those with a time of their own stand
-- in `kept`, all others in `finished`, a list: a place there costs a fifth of one in a sorted set.
-- Needs keys: results finished kept waiters; args: result_ttl_ms max_results; include: time plain traits batch records.

-- A result that nobody wants kept is kept this long if somebody waits for it at that moment: they look every 5 s.
local AWAITED_MS = 10000

-- A caller's own id can come again and end again, while its earlier place is still in the list: say which end is meant.
local function place_of(uid, record)
    return string.byte(uid, 1) == EQUALS and (uid .. "|" .. string.format("%x", ended_ms(record))) or uid
end

-- Items are { uid, record, body }.
local function keep(items, now_ms)
    local records, places, times = {}, {}, {}
    for _, item in ipairs(items) do
        local uid, record, blob = item[1], item[2], item[3]
        local own_ms = keeps_own_time(blob) and extras_of(blob).r or (tonumber(ARGV.result_ttl_ms) == 0 and 0)
        if own_ms == 0 and redis.call("HEXISTS", KEYS.waiters, uid) == 1 then
            own_ms = AWAITED_MS
        end
        if own_ms ~= 0 then
            records[#records + 1] = uid
            records[#records + 1] = record
            if own_ms then
                times[#times + 1] = digits(now_ms + own_ms)
                times[#times + 1] = uid
            else
                places[#places + 1] = place_of(uid, record)
            end
        end
    end
    in_chunks("HSET", KEYS.results, records)
    in_chunks("RPUSH", KEYS.finished, places)
    in_chunks("ZADD", KEYS.kept, times)
end

local function is_past(record, now_ms)
    return ended_ms(record) + ARGV.result_ttl_ms <= now_ms
end

-- The heads of the list that may go: those beyond the number, or else those past their time.
local function overdue(beyond, most, now_ms)
    if beyond > 0 then
        return redis.call("LPOP", KEYS.finished, math.min(beyond, most)) or {}
    end
    local first = redis.call("LINDEX", KEYS.finished, 0)
    local record = first and redis.call("HGET", KEYS.results, (string.match(first, "^[^|]*")))
    if not first or (record and not is_past(record, now_ms)) then
        return {}
    end
    local number = 0
    for _, place in ipairs(redis.call("LRANGE", KEYS.finished, 0, most - 1)) do
        record = redis.call("HGET", KEYS.results, (string.match(place, "^[^|]*")))
        if record and not is_past(record, now_ms) then
            break
        end
        number = number + 1
    end
    return redis.call("LPOP", KEYS.finished, number)
end

-- Forget at most so many results, and return how many places that were.
local function forget(most, now_ms)
    local own = redis.call("ZCARD", KEYS.kept)
    local beyond = redis.call("LLEN", KEYS.finished) + own - ARGV.max_results
    local gone, places = {}, overdue(beyond, most, now_ms)
    for _, place in ipairs(places) do
        local uid, stamp = string.match(place, "^([^|]*)|?(.*)$")
        local record = stamp ~= "" and redis.call("HGET", KEYS.results, uid)
        if stamp == "" or (record and string.format("%x", ended_ms(record)) == stamp) then
            gone[#gone + 1] = uid
        end
    end
    local past = {}
    if own > 0 then
        past = redis.call("ZRANGE", KEYS.kept, "-inf", digits(now_ms), "BYSCORE", "LIMIT", 0, most)
        beyond = math.min(beyond - #places, most)
        if #past < beyond then
            -- Those that end soonest, so the ones past their time are among them.
            past = redis.call("ZRANGE", KEYS.kept, 0, beyond - 1)
        end
        in_chunks("ZREM", KEYS.kept, past)
        in_chunks("HDEL", KEYS.results, past)
    end
    in_chunks("HDEL", KEYS.results, gone)
    return #places + #past
end
