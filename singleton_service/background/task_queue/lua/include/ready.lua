-- Which ready list a task belongs to. Needs keys: body.
local EQUALS = 61

local function priority_of(uid)
    if string.byte(uid, 1) ~= EQUALS then
        return tonumber(string.sub(uid, 1, 1))
    end
    -- A caller's own id says nothing about priority: it stands after the version in the body.
    local blob = redis.call("HGET", body, uid)
    return blob and tonumber(string.sub(blob, 2, 2)) or 1
end
