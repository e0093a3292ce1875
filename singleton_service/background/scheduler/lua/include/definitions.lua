-- Putting a definition in force. Needs keys: definitions removed; include: states.
-- One that no running code declared for longer than this begins anew: what it missed meanwhile is nobody's any more.
local REMEMBERED_MS = 24 * 3600 * 1000

-- True when it is new, or another than before. The same one again keeps its instants.
local function put(id, blob, next_ms, by, now_ms)
    local state = state_of(id)
    local is_same = state and redis.call("HGET", KEYS.definitions, id) == blob
    if is_same and is(state, "c") == (by ~= "") and not is(state, "r") then
        if state.by ~= by then
            state.by = by
            keep(id, state)
        end
        return false
    end
    state = state or new_state()
    if not is_same then
        state.next_ms, state.runs, state.missed = next_ms, "0", "0"
    elseif is(state, "r") and now_ms - state.retired_ms > REMEMBERED_MS then
        state.next_ms = next_ms
    end
    state.by, state.retired_ms = by, ""
    mark(state, "c", by ~= "")
    mark(state, "r", false)
    redis.call("HSET", KEYS.definitions, id, blob)
    redis.call("ZREM", KEYS.removed, id)
    renew(id, state)
    keep(id, state)
    return true
end
