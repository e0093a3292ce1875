-- Note that leased tasks have begun to run: from now on a crash counts against them.
--
-- keys:    running owned
-- items:   uid lease
-- returns: how many are still the caller's
--
-- Begins with a delete, so a full server takes note.

local started = 0
for i = FIRST_ITEM, #ARGV, 2 do
    if redis.call("HGET", KEYS.running, ARGV[i]) == ARGV[i + 1] then
        redis.call("HDEL", KEYS.owned, ARGV[i])
        redis.call("HSET", KEYS.owned, ARGV[i], "1")
        started = started + 1
    end
end
return started
