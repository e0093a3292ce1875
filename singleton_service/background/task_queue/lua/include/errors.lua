-- One line of JSON per failed attempt, oldest first. Needs keys: errors.
local function append_error(uid, error)
    local earlier = redis.call("HGET", errors, uid)
    redis.call("HSET", errors, uid, earlier and (earlier .. "\n" .. error) or error)
end
