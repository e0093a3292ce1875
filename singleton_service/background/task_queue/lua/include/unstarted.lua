-- Ending a task that does not run: cancelled ("x") or expired ("e"). Its place in a ready list stays as a tombstone,
-- which fetch passes over: taking one out of the middle of a list costs as much as the list is long.
-- Needs keys: body due held waiting line_of reasons attempts errors expiry progress results finished kept counters waiters unique unique_of;
-- args: result_ttl_ms max_results; include: time traits batch unique records keeping tally turns.
local COUNTER = { ["x"] = "cancelled", ["e"] = "expired" }

local function end_unstarted(uid, blob, state, now_ms)
    local waited = redis.call("ZREM", KEYS.due, uid) + redis.call("ZREM", KEYS.held, uid)
    local place = redis.call("HGET", KEYS.line_of, uid)
    local key, front = turn_of(place)
    if place then
        waited = waited + redis.call("ZREM", KEYS.waiting, place)
        redis.call("HDEL", KEYS.line_of, uid)
    end
    if waited == 0 then
        redis.call("HINCRBY", KEYS.counters, "tombstones", 1)
    end
    local past = redis.call("HGET", KEYS.errors, uid) or ""
    local retries = string.match(redis.call("HGET", KEYS.attempts, uid) or "0", "^%d+")
    drop_blobs({ uid })
    redis.call("HDEL", KEYS.attempts, uid)
    redis.call("HDEL", KEYS.errors, uid)
    redis.call("HDEL", KEYS.reasons, uid)
    redis.call("HDEL", KEYS.progress, uid)
    redis.call("ZREM", KEYS.expiry, uid)
    release_unique({ uid })
    keep({ { uid, record_of(head_of(state, retries, 0, now_ms, "", past), "null", past, blob), blob } }, now_ms)
    tally(COUNTER[state], 1, now_ms)
    if key and redis.call("HGET", KEYS.turns, front) == uid then
        redis.call("HDEL", KEYS.turns, front)
        let_in({ key }, now_ms)
    end
    forget(2, now_ms)
end
