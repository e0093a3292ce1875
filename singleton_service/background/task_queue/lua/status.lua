-- Read tasks as they stand now.
--
-- keys:    body due held waiting line_of reasons running attempts errors expiry progress results kept crew dead
-- args:    result_ttl_ms
-- items:   uid
-- returns: per item: state, blob or record, detail, attempts, errors, progress ("" each when there is none)
--
-- detail: when an expired one did (ms), the line lease of a waiting running task, the due ms of a due one, "ms|reason" of a held one, ms of death of a dead one, the worker of a finished one.
-- include: time traits expired records

local now_ms = server_time()
local answer = {}

local function add(state, blob, detail, past, failures, note)
    answer[#answer + 1] = state
    answer[#answer + 1] = blob or ""
    answer[#answer + 1] = detail or ""
    answer[#answer + 1] = past or ""
    answer[#answer + 1] = failures or ""
    answer[#answer + 1] = note or ""
end

local function state_of(uid, blob)
    local lease = redis.call("HGET", running, uid)
    if lease then
        return "running", lease
    end
    local died = redis.call("ZSCORE", dead, uid)
    if died then
        return "dead", died
    end
    -- Expired for every reader at once, swept or not.
    if has_expired(uid, blob, now_ms) then
        return "expired", redis.call("ZSCORE", expiry, uid)
    end
    local at_ms = redis.call("ZSCORE", due, uid)
    if at_ms then
        return "due", at_ms
    end
    local look_ms = redis.call("ZSCORE", held, uid)
    if look_ms then
        return "held", look_ms .. "|" .. string.match(redis.call("HGET", reasons, uid) or "||", "^%d*|%d*|(.*)$")
    end
    local place = redis.call("HGET", line_of, uid)
    if place and redis.call("ZSCORE", waiting, place) then
        return "waiting", string.match(place, "^[^\n]*")
    end
    return "ready", ""
end

for i = FIRST_ITEM, #ARGV do
    local uid = ARGV[i]
    local blob = redis.call("HGET", body, uid)
    if blob then
        local state, detail = state_of(uid, blob)
        local past, failures = redis.call("HGET", attempts, uid), redis.call("HGET", errors, uid)
        add(state, blob, detail, past, failures, redis.call("HGET", progress, uid))
    else
        local record = redis.call("HGET", results, uid)
        local expires_ms = record and (redis.call("ZSCORE", kept, uid) or ended_ms(record) + result_ttl_ms)
        -- Past its time a result is gone for every reader at once, swept or not.
        if record and tonumber(expires_ms) > now_ms then
            local _, _, number = settled_by(record)
            add("finished", record, redis.call("HGET", crew, "#" .. number))
        else
            add("unknown")
        end
    end
end
return answer
