-- What most tasks are: of no trait (traits.lua), and of no id of a caller's own, which begins with "=".
local PLAIN, EQUALS = 48, 61

local function is_plain(uid, blob)
    return string.byte(blob, 3) == PLAIN and string.byte(uid, 1) ~= EQUALS
end
