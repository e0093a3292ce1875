-- Forgetting failed tasks past their time or beyond their number, oldest first.
-- Needs keys: body shelves attempts errors dead; args: failed_ttl_ms max_failed; include: time batch shelves.
local function forget_failed(most, now_ms)
    local oldest = digits(now_ms - ARGV.failed_ttl_ms)
    local old = redis.call("ZRANGE", KEYS.dead, "-inf", oldest, "BYSCORE", "LIMIT", 0, most)
    local beyond = math.min(redis.call("ZCARD", KEYS.dead) - ARGV.max_failed, most)
    if #old < beyond then
        -- Oldest first, so the aged ones are among them.
        old = redis.call("ZRANGE", KEYS.dead, 0, beyond - 1)
    end
    in_chunks("ZREM", KEYS.dead, old)
    drop_blobs(old)
    in_chunks("HDEL", KEYS.attempts, old)
    in_chunks("HDEL", KEYS.errors, old)
    return #old
end
