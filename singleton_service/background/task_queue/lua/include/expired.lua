-- Needs keys: expiry running attempts; include: traits.
-- A task expires by the server's clock, unless it runs or an attempt of it has.
local function has_expired(uid, blob, now_ms)
    if not can_expire(blob) then
        return false
    end
    local at_ms = redis.call("ZSCORE", KEYS.expiry, uid)
    return at_ms
        and tonumber(at_ms) <= now_ms
        and redis.call("HEXISTS", KEYS.running, uid) == 0
        and redis.call("HEXISTS", KEYS.attempts, uid) == 0
end
