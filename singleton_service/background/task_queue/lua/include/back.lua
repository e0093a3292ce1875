-- Back to the head of the list a task belongs to, unless it was cancelled while it ran.
-- Needs keys: ready[4] suspects; include: ready attempts orders.
local function put_back(uid, now_ms)
    if was_cancelled(uid, now_ms) then
        return
    end
    local _, crashes = history(uid)
    redis.call("LPUSH", crashes >= SUSPECT_AFTER and suspects or ready[priority_of(uid) + 1], uid)
end
