-- The latest fires of a schedule, a line each, oldest first: "instant|when it was fired|how|task id".
-- Needs keys: histories; include: time.
local KEPT = 20

-- Lines come as "instant|how|task id", for now is when they were fired.
local function note(id, lines, now_ms)
    local all = {}
    for line in string.gmatch(redis.call("HGET", KEYS.histories, id) or "", "[^\n]+") do
        all[#all + 1] = line
    end
    for instant, rest in string.gmatch(lines, "(%d+)|([^\n]+)") do
        all[#all + 1] = instant .. "|" .. digits(now_ms) .. "|" .. rest
    end
    if #all > 0 then
        redis.call("HSET", KEYS.histories, id, table.concat(all, "\n", math.max(1, #all - KEPT + 1)))
    end
end
