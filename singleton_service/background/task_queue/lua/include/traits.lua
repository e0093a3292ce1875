-- What a body says of itself in its third character: 1 for a unique key, 2 for an expiry, 3 for both; "0" for most.
local function is_unique(blob)
    return string.byte(blob, 3) % 2 == 1
end

local function can_expire(blob)
    return string.byte(blob, 3) >= 50
end
