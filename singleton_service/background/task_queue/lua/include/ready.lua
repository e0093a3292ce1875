-- Which ready list a task belongs to. Needs keys: body; include: plain shelves.
local function priority_of(uid)
    local first = string.byte(uid, 1)
    if first ~= EQUALS then
        -- "0" to "9", "a" and "b": the priority, and what shelves.lua reads.
        return (first - (first < 58 and 48 or 87)) % 4
    end
    -- A caller's own id says nothing about priority: it stands after the version in the body.
    local blob = blob_of(uid)
    return blob and tonumber(string.sub(blob, 2, 2)) or 1
end
