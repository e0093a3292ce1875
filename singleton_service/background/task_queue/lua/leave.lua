-- Sign a worker off. If it still owns tasks its lease ends now, and they go on elsewhere.
--
-- keys:    owned workers
-- args:    worker
-- returns: number of tasks it leaves behind

local left = redis.call("HLEN", KEYS.owned)
-- The delete first, so a full server lets go, too.
redis.call("ZREM", KEYS.workers, ARGV.worker)
if left > 0 then
    redis.call("ZADD", KEYS.workers, 0, ARGV.worker)
end
return left
