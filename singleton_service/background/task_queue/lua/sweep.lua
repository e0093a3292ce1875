-- Forget finished and failed tasks past their age or beyond their number, a bounded lot at a time.
--
-- keys:    body attempts errors results finished dead
-- args:    max_results failed_ttl_ms max_failed limit
-- returns: results forgotten, failed tasks forgotten
-- include: time batch

local now_ms = server_time()

local function overdue(zset, until_ms, most)
    local old = redis.call("ZRANGE", zset, "-inf", digits(until_ms), "BYSCORE", "LIMIT", 0, limit)
    local excess = math.min(redis.call("ZCARD", zset) - most, tonumber(limit))
    if #old < excess then
        -- Oldest first, so the aged ones are among them.
        old = redis.call("ZRANGE", zset, 0, excess - 1)
    end
    return old
end

local results_gone = overdue(finished, now_ms, max_results)
in_chunks("ZREM", finished, results_gone)
in_chunks("HDEL", results, results_gone)

local failed_gone = overdue(dead, now_ms - failed_ttl_ms, max_failed)
in_chunks("ZREM", dead, failed_gone)
for _, hash in ipairs({ body, attempts, errors }) do
    in_chunks("HDEL", hash, failed_gone)
end
return { #results_gone, #failed_gone }
