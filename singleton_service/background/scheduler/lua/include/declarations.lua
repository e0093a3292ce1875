-- Who declares which schedules in code. Needs keys: declarers declarations; include: states.
local function ids_in(list)
    local ids = {}
    for id in string.gmatch(list or "", "[^\n]+") do
        ids[#ids + 1] = id
    end
    return ids
end

-- What one process declared no more, or took with it: retired, unless another one declares it, too. If that one's words
-- are not those in force, it is to say them again.
local function let_go(ids, process, now_ms)
    local declared = {}
    local all = #ids > 0 and redis.call("HGETALL", KEYS.declarations) or {}
    for n = 1, #all, 2 do
        for _, id in ipairs(all[n] ~= process and ids_in(all[n + 1]) or {}) do
            declared[id] = true
        end
    end
    for _, id in ipairs(ids) do
        local state = state_of(id)
        if state and is(state, "c") and not is(state, "r") and (not declared[id] or state.by == process) then
            if not declared[id] then
                mark(state, "r", true)
                state.retired_ms = digits(now_ms)
            end
            state.by = ""
            renew(id, state)
            keep(id, state)
        end
    end
end
