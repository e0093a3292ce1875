-- Back to the head of the list a task belongs to, or to its place in line, unless it was cancelled while it ran.
-- Where others of its priority are aside, it goes in front of those, for they go before what is ready.
-- Needs keys: ready[4] suspects waiting line_of aside; include: names ready attempts orders aside.
local function put_back(uid, now_ms)
    if was_cancelled(uid, now_ms) then
        return
    end
    local place = redis.call("HGET", KEYS.line_of, uid)
    if place then
        redis.call("ZADD", KEYS.waiting, 0, place)
        return
    end
    local _, crashes = history(uid)
    if crashes >= SUSPECT_AFTER then
        redis.call("LPUSH", KEYS.suspects, uid)
    elseif redis.call("EXISTS", KEYS.aside) == 1 then
        put_aside_first(priority_of(uid), name_of(blob_of(uid) or ""), uid)
    else
        redis.call("LPUSH", KEYS.ready[priority_of(uid) + 1], uid)
    end
end
