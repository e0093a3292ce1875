-- Letting go of times long gone. Needs keys: counters; include: batch tables.
local MINUTES, HOURS, DAYS = 60, 24, 2

-- With the first of a kind in a minute the fields of times long gone go, so there are never more than so many; minutes are
-- added to their hour then, so that counting itself touches two fields and no more.
local function forget_times(minute)
    local hour, day = math.floor(minute / 60), math.floor(minute / 1440)
    local oldest = { ["m"] = minute - MINUTES, ["h"] = hour - HOURS, ["d"] = day - DAYS }
    local gone = {}
    local fields = redis.call("HGETALL", KEYS.counters)
    for n = 1, #fields, 2 do
        local kind, unit, number = string.match(fields[n], "^([^:]*):([mhd])(%d+)")
        if unit and tonumber(number) <= oldest[unit] then
            gone[#gone + 1] = fields[n]
            local its_hour = math.floor(number / 60)
            if unit == "m" and its_hour > oldest["h"] then
                redis.call("HINCRBY", KEYS.counters, kind .. ":h" .. its_hour, fields[n + 1])
            end
        end
    end
    in_chunks("HDEL", KEYS.counters, gone)
    make_table(KEYS.counters)
end
