-- A unique key belongs to one unfinished task. Two hashes, each the other's inverse. Needs keys: unique unique_of.
local function release_unique(uids)
    if redis.call("EXISTS", unique_of) == 0 then
        return
    end
    for _, uid in ipairs(uids) do
        local key = redis.call("HGET", unique_of, uid)
        if key then
            redis.call("HDEL", unique_of, uid)
            -- Only what is its own: the key may have gone to another task meanwhile.
            if redis.call("HGET", unique, key) == uid then
                redis.call("HDEL", unique, key)
            end
        end
    end
end
