-- What a task that ends for good lets go of. Needs keys: cancels expiry progress line_of; include: unique.
local function close(uids)
    release_unique(uids)
    if redis.call("EXISTS", KEYS.cancels, KEYS.expiry, KEYS.progress, KEYS.line_of) > 0 then
        redis.call("HDEL", KEYS.cancels, unpack(uids))
        redis.call("HDEL", KEYS.progress, unpack(uids))
        redis.call("HDEL", KEYS.line_of, unpack(uids))
        redis.call("ZREM", KEYS.expiry, unpack(uids))
    end
end
