-- Leases are "fence|worker" in `running`, and nowhere else. Needs keys: running owned.
local function fence_of(lease)
    return string.match(lease, "^(%d+)|")
end

-- Give up those of the items' leases that are still the caller's.
-- Returns the ARGV index of each such item, and a string of 1 and 0, one per item.
local function give_up(first, width)
    local uids, mine, answer = {}, {}, {}
    for i = first, #ARGV, width do
        uids[#uids + 1] = ARGV[i]
    end
    if #uids == 0 then
        return mine, ""
    end
    local held = redis.call("HMGET", KEYS.running, unpack(uids))
    local gone = {}
    local twice = {}
    for n, uid in ipairs(uids) do
        local i = first + (n - 1) * width
        if held[n] == ARGV[i + 1] and not twice[uid] then
            twice[uid] = true
            mine[#mine + 1] = i
            gone[#gone + 1] = uid
            answer[n] = "1"
        else
            answer[n] = "0"
        end
    end
    if #gone > 0 then
        redis.call("HDEL", KEYS.running, unpack(gone))
        redis.call("HDEL", KEYS.owned, unpack(gone))
    end
    return mine, table.concat(answer), gone
end
