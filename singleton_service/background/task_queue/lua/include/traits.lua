-- What a body says of itself in its third character, "0" for most: 1 unique key, 2 expiry, 4 a time of its own for its
-- result, 8 limit key, 16 not to be started at once, added up and counted from "0". Include: plain.
local function has_trait(blob, value)
    return (string.byte(blob, 3) - PLAIN) % (2 * value) >= value
end

local function is_unique(blob)
    return has_trait(blob, 1)
end

local function can_expire(blob)
    return has_trait(blob, 2)
end

local function keeps_own_time(blob)
    return has_trait(blob, 4)
end

local function has_limit_key(blob)
    return has_trait(blob, 8)
end

local function starts_later(blob)
    return has_trait(blob, 16)
end

-- The third line of a body: what only some tasks have. The payload is not read: it may be large, or nested deeper than
-- cjson can follow.
local function extras_of(blob)
    local payload_ends = string.find(blob, "\n", string.find(blob, "\n", 1, true) + 1, true)
    return cjson.decode(string.sub(blob, payload_ends + 1))
end
