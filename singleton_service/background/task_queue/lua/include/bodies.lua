-- Bodies of many tasks, a call for each shelf. Needs keys: body shelves; include: batch shelves.

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

-- The bodies of at most 1,000 tasks, where `by_shelf` says they lie; false for each that has none.
local function blobs_at(uids, order, positions)
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

local function blobs_of(uids)
    return blobs_at(uids, by_shelf(uids))
end

-- Put bodies of one shelf, given as uid, blob and so on from the first on, and return how many there were not yet.
local function put_pairs(shelf, given, first_uid)
    local number_new = 0
    for first = first_uid, #given, CHUNK do
        local last = math.min(first + CHUNK - 1, #given)
        number_new = number_new + redis.call("HSET", key_of(shelf), unpack(given, first, last))
    end
    if shelf ~= "" then
        redis.call("ZADD", KEYS.shelves, "0", shelf)
    end
    return number_new
end

local function put_blobs(uids, blobs)
    local order, positions = by_shelf(uids)
    for _, shelf in ipairs(order) do
        local fields = {}
        for _, n in ipairs(positions[shelf]) do
            fields[#fields + 1] = uids[n]
            fields[#fields + 1] = blobs[n]
        end
        put_pairs(shelf, fields, 1)
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
