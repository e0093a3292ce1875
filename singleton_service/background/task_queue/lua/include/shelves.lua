-- Bodies. Those of tasks made at about the same time lie in one hash, a shelf, so that with a million tasks no table is
-- larger than a processor's cache, and what is fetched together lies together. A uid's first digit says which shelf: from
-- "4" of 32 ms and from "8" of 33 s, by the time in the uid; others lie in `body`. `shelves` names those that there are.
-- The key of a shelf is not in KEYS, for no client knows what a fetch will find; it shares their slot.
-- Needs keys: body; include: plain.
local FINE, COARSE = 52, 56

-- "" for what lies in `body` itself.
local function shelf_of(uid)
    local first = string.byte(uid, 1)
    if first < FINE or first == EQUALS then
        return ""
    end
    return string.sub(uid, 2, first < COARSE and 9 or 7)
end

local function key_of(shelf)
    return shelf == "" and KEYS.body or KEYS.body .. ":" .. shelf
end

local function blob_of(uid)
    return redis.call("HGET", key_of(shelf_of(uid)), uid)
end
