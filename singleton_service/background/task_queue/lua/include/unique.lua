-- A unique key belongs to one unfinished task. Two hashes, each the other's inverse.
-- Who waits in line for the key has it next, and is due from then on: fetch finds it there.
-- Needs keys: body unique unique_of waiting line_of due wake; include: lines wake.
local function release_unique(uids)
    if redis.call("EXISTS", KEYS.unique_of) == 0 then
        return
    end
    for _, uid in ipairs(uids) do
        local key = redis.call("HGET", KEYS.unique_of, uid)
        if key then
            redis.call("HDEL", KEYS.unique_of, uid)
            -- Only what is its own: the key may have gone to another task meanwhile.
            if redis.call("HGET", KEYS.unique, key) == uid then
                redis.call("HDEL", KEYS.unique, key)
                local rank, successor, member = first_in_line("u" .. key)
                if successor then
                    local arrived, at_ms, limit_key = string.match(rank, "^(%d+)|(%d+)|(.*)$")
                    redis.call("ZREM", KEYS.waiting, member)
                    if limit_key == "" then
                        redis.call("HDEL", KEYS.line_of, successor)
                    else
                        local priority = string.sub(blob_of(successor), 2, 2)
                        local place = place_for_turn(limit_key, priority, arrived, successor)
                        redis.call("HSET", KEYS.line_of, successor, place)
                    end
                    redis.call("HSET", KEYS.unique, key, successor)
                    redis.call("HSET", KEYS.unique_of, successor, key)
                    redis.call("ZADD", KEYS.due, at_ms, successor)
                    wake_one()
                end
            end
        end
    end
end
