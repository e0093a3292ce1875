-- Forget tasks that have ended; others are left alone.
--
-- keys:    body shelves dead attempts errors results kept
-- items:   uid
-- returns: a string of 1 and 0 per item: was it forgotten
--
-- A place in `finished` stays until its turn comes: taking one out of the middle of a list costs as much as it is long.
-- include: batch plain shelves bodies

local verdict = {}
for i = FIRST_ITEM, #ARGV do
    local uid = ARGV[i]
    local was_there = redis.call("HDEL", KEYS.results, uid) == 1
    redis.call("ZREM", KEYS.kept, uid)
    if redis.call("ZREM", KEYS.dead, uid) == 1 then
        was_there = true
        drop_blobs({ uid })
        redis.call("HDEL", KEYS.attempts, uid)
        redis.call("HDEL", KEYS.errors, uid)
    end
    verdict[#verdict + 1] = was_there and "1" or "0"
end
return table.concat(verdict)
