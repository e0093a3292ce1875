-- What a task that ends for good lets go of. Needs keys: cancels expiry progress line_of; include: unique.
local function close(uids)
    release_unique(uids)
    if redis.call("EXISTS", cancels, expiry, progress, line_of) > 0 then
        redis.call("HDEL", cancels, unpack(uids))
        redis.call("HDEL", progress, unpack(uids))
        redis.call("HDEL", line_of, unpack(uids))
        redis.call("ZREM", expiry, unpack(uids))
    end
end
