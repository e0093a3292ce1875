-- Back to the head of the list a task belongs to, or to its place in line, unless it was cancelled while it ran.
-- Needs keys: ready[4] suspects waiting line_of; include: ready attempts orders.
local function put_back(uid, now_ms)
    if was_cancelled(uid, now_ms) then
        return
    end
    local place = redis.call("HGET", line_of, uid)
    if place then
        redis.call("ZADD", waiting, 0, place)
        return
    end
    local _, crashes = history(uid)
    redis.call("LPUSH", crashes >= SUSPECT_AFTER and suspects or ready[priority_of(uid) + 1], uid)
end
