-- Short numbers for the names of workers, so that a result need not spell one out. Those of the last thousand workers
-- that finished something are known. Needs keys: crew; include: time.
local REMEMBERED = 1000

local function number_of(worker)
    local number = redis.call("HGET", KEYS.crew, worker)
    if number then
        return number
    end
    number = redis.call("HINCRBY", KEYS.crew, "#", 1)
    redis.call("HSET", KEYS.crew, worker, number, "#" .. number, worker)
    local forgotten = "#" .. (number - REMEMBERED)
    local name = redis.call("HGET", KEYS.crew, forgotten)
    if name then
        redis.call("HDEL", KEYS.crew, forgotten, name)
    end
    return digits(number)
end
