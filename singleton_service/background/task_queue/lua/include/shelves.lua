-- Bodies. Those of tasks made at about the same time lie in one hash, a shelf, so that with a million tasks no table is
-- larger than a processor's cache, and what is fetched together lies together. A uid's first digit says which shelf: from
-- "4" of 32 ms and from "8" of 33 s, by the time in the uid; others lie in `body`. `shelves` names those that there are.
-- The key of a shelf is not in KEYS, for no client knows what a fetch will find; it shares their slot.
-- Needs keys: body shelves; include: batch.
local FINE, COARSE, NAMED = 52, 56, 61

-- "" for what lies in `body` itself.
local function shelf_of(uid)
    local first = string.byte(uid, 1)
    if first < FINE or first == NAMED then
        return ""
    end
    return string.sub(uid, 2, first < COARSE and 9 or 7)
end

local function key_of(shelf)
    return shelf == "" and KEYS.body or KEYS.body .. ":" .. shelf
end

-- The shelves of these uids, and of each the positions of its uids among them.
local function by_shelf(uids)
    local order, positions = {}, {}
    for n, uid in ipairs(uids) do
        local shelf = shelf_of(uid)
        local here = positions[shelf]
        if not here then
            here = {}
            positions[shelf] = here
            order[#order + 1] = shelf
        end
        here[#here + 1] = n
    end
    return order, positions
end

local function at(uids, positions)
    if #positions == #uids then
        return uids
    end
    local some = {}
    for k, n in ipairs(positions) do
        some[k] = uids[n]
    end
    return some
end

local function blob_of(uid)
    return redis.call("HGET", key_of(shelf_of(uid)), uid)
end

-- The bodies of at most 1,000 tasks; false for each that has none.
local function blobs_of(uids)
    local order, positions = by_shelf(uids)
    if #order == 1 then
        return redis.call("HMGET", key_of(order[1]), unpack(uids))
    end
    local blobs = {}
    for _, shelf in ipairs(order) do
        for k, blob in ipairs(redis.call("HMGET", key_of(shelf), unpack(at(uids, positions[shelf])))) do
            blobs[positions[shelf][k]] = blob
        end
    end
    return blobs
end

local function put_blobs(uids, blobs)
    local order, positions = by_shelf(uids)
    for _, shelf in ipairs(order) do
        local fields = {}
        for _, n in ipairs(positions[shelf]) do
            fields[#fields + 1] = uids[n]
            fields[#fields + 1] = blobs[n]
        end
        in_chunks("HSET", key_of(shelf), fields)
    end
    for _, shelf in ipairs(order) do
        if shelf ~= "" then
            redis.call("ZADD", KEYS.shelves, 0, shelf)
        end
    end
end

local function drop_blobs(uids)
    local order, positions = by_shelf(uids)
    for _, shelf in ipairs(order) do
        in_chunks("HDEL", key_of(shelf), at(uids, positions[shelf]))
        if shelf ~= "" and redis.call("EXISTS", key_of(shelf)) == 0 then
            redis.call("ZREM", KEYS.shelves, shelf)
        end
    end
end
