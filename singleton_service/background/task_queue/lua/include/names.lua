-- Counting by the name of the task, today and yesterday (UTC): "completed:d19700:send_email". No more than so many names a
-- day; those beyond are counted together, under none. Needs keys: counters; include: count.
local MOST_FIELDS = 300

local function name_of(blob)
    -- The line of a version that is not known may say anything.
    return string.byte(blob, 1) == 49 and string.match(blob, "|([^\n]*)") or ""
end

local function tally_name(kind, name, number, now_ms)
    local day = ":d" .. math.floor(now_ms / 86400000)
    local field = kind .. day .. ":" .. name
    if count(field, number) ~= number or name == "" then
        return
    end
    if count("names" .. day, 1) > MOST_FIELDS then
        redis.call("HDEL", KEYS.counters, field)
        count("names" .. day, -1)
        count(kind .. day .. ":", number)
    end
end
