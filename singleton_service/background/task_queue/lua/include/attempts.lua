-- What went before: "retries|crashes|fence of the last attempt", kept only once something did.
local SUSPECT_AFTER, BURIED_AFTER = 2, 3

local function history(uid)
    local past = redis.call("HGET", KEYS.attempts, uid)
    if not past then
        return 0, 0
    end
    local retries, crashes = string.match(past, "^(%d+)|(%d+)")
    return tonumber(retries), tonumber(crashes)
end

local function remember(uid, retries, crashes, fence)
    redis.call("HSET", KEYS.attempts, uid, retries .. "|" .. crashes .. "|" .. fence)
end
