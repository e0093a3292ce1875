-- How long there is nothing to do. Needs keys: due held.
local function ms_until_due(now_ms)
    local next_ms = -1
    for _, zset in ipairs({ due, held }) do
        local first = redis.call("ZRANGE", zset, 0, 0, "WITHSCORES")[2]
        if first then
            local wait_ms = math.max(0, tonumber(first) - now_ms)
            next_ms = next_ms < 0 and wait_ms or math.min(next_ms, wait_ms)
        end
    end
    return next_ms
end
