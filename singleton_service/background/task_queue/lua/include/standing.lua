-- How a task stands now. Needs keys: body due held waiting line_of reasons running attempts errors expiry progress results
-- kept crew dead; args: result_ttl_ms; include: traits expired records.

-- One word for a task with a body, and what there is to say about it.
local function state_of(uid, blob, now_ms)
    local lease = redis.call("HGET", KEYS.running, uid)
    if lease then
        return "running", lease
    end
    local died = redis.call("ZSCORE", KEYS.dead, uid)
    if died then
        return "dead", died
    end
    -- Expired for every reader at once, swept or not.
    if has_expired(uid, blob, now_ms) then
        return "expired", redis.call("ZSCORE", KEYS.expiry, uid)
    end
    local at_ms = redis.call("ZSCORE", KEYS.due, uid)
    if at_ms then
        return "due", at_ms
    end
    local look_ms = redis.call("ZSCORE", KEYS.held, uid)
    if look_ms then
        return "held", look_ms .. "|" .. string.match(redis.call("HGET", KEYS.reasons, uid) or "||", "^%d*|%d*|(.*)$")
    end
    local place = redis.call("HGET", KEYS.line_of, uid)
    if place and redis.call("ZSCORE", KEYS.waiting, place) then
        return "waiting", string.match(place, "^[^\n]*")
    end
    return "ready", ""
end

-- State, blob or record, detail, attempts, errors, progress, expiry (ms) of a task, "" each when there is none.
local function standing(uid, now_ms)
    local blob = blob_of(uid)
    if blob then
        local state, detail = state_of(uid, blob, now_ms)
        local past, failures = redis.call("HGET", KEYS.attempts, uid), redis.call("HGET", KEYS.errors, uid)
        local expires_ms = can_expire(blob) and redis.call("ZSCORE", KEYS.expiry, uid)
        local note = redis.call("HGET", KEYS.progress, uid)
        return { state, blob, detail, past or "", failures or "", note or "", expires_ms or "" }
    end
    local record = redis.call("HGET", KEYS.results, uid)
    local expires_ms = record and (redis.call("ZSCORE", KEYS.kept, uid) or ended_ms(record) + ARGV.result_ttl_ms)
    -- Past its time a result is gone for every reader at once, swept or not.
    if record and tonumber(expires_ms) > now_ms then
        local _, _, number = settled_by(record)
        return { "finished", record, redis.call("HGET", KEYS.crew, "#" .. number) or "", "", "", "", "" }
    end
    return { "unknown", "", "", "", "", "", "" }
end
