-- Add tasks to a queue: ready now, or due later. Each uid is added once, however often it is sent.
--
-- keys:    body ready[4] due seen results wake counters
-- args:    again seen_for_ms
-- items:   uid when blob
-- returns: how many were new
--
-- again: "1" when an earlier answer may have been lost. when: "0" now, "+ms" from now, "=ms" since 1970.
-- A uid that begins with "=" was given by the caller or a schedule and is remembered in `seen`.
-- Invariant: a uid in ready or due has a body. The first write is the HSET, so a full server refuses cleanly.
-- include: time ready batch

local now_ms = server_time()

local function is_known(uid, named)
    if named and redis.call("ZSCORE", seen, uid) then
        return true
    end
    return (named or again == "1")
        and (redis.call("HEXISTS", body, uid) == 1 or redis.call("HEXISTS", results, uid) == 1)
end

local bodies, fresh, twice, named_ids = {}, {}, {}, {}
for i = FIRST_ITEM, #ARGV, 3 do
    local uid = ARGV[i]
    local named = string.byte(uid, 1) == EQUALS
    if not twice[uid] and not is_known(uid, named) then
        twice[uid] = true
        fresh[#fresh + 1] = i
        bodies[#bodies + 1] = uid
        bodies[#bodies + 1] = ARGV[i + 2]
        if named then
            named_ids[#named_ids + 1] = digits(now_ms)
            named_ids[#named_ids + 1] = uid
        end
    end
end
if #fresh == 0 then
    return 0
end
in_chunks("HSET", body, bodies)

local earliest = redis.call("ZRANGE", due, 0, 0, "WITHSCORES")[2]
local lists, later, sooner = { [0] = {}, {}, {}, {} }, {}, false
for _, i in ipairs(fresh) do
    local when = ARGV[i + 1]
    if when == "0" then
        local list = lists[tonumber(string.sub(ARGV[i + 2], 2, 2))]
        list[#list + 1] = ARGV[i]
    else
        local at_ms = tonumber(string.sub(when, 2))
        if string.sub(when, 1, 1) == "+" then
            at_ms = now_ms + at_ms
        end
        later[#later + 1] = digits(at_ms)
        later[#later + 1] = ARGV[i]
        sooner = sooner or not earliest or at_ms < tonumber(earliest)
    end
end
for priority = 0, 3 do
    in_chunks("RPUSH", ready[priority + 1], lists[priority])
end
in_chunks("ZADD", due, later)
if #named_ids > 0 then
    in_chunks("ZADD", seen, named_ids)
    local old = redis.call("ZRANGE", seen, "-inf", digits(now_ms - seen_for_ms), "BYSCORE", "LIMIT", 0, 100)
    in_chunks("ZREM", seen, old)
end
redis.call("HINCRBY", counters, "enqueued", #fresh)
-- Somebody must hear of a new earliest due time, or all would sleep past it.
if sooner or #later < 2 * #fresh then
    wake_one()
end
return #fresh
