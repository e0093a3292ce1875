-- Limit how many tasks of a queue run at once and start in a time, or lift the limits.
--
-- keys:    settings full wake
-- args:    limits
-- returns: 1 when that changed something
--
-- limits: "most running|us between starts|us one may come early", 0 where there is none. What runs goes on.
-- include: wake

local earlier = redis.call("HGET", KEYS.settings, "limits") or "0|0|0"
if ARGV.limits == earlier then
    return 0
end
-- A new pace begins anew: the next start of the old one may be an hour away.
redis.call("HDEL", KEYS.settings, "limits", "next_start")
redis.call("DEL", KEYS.full)
if ARGV.limits ~= "0|0|0" then
    redis.call("HSET", KEYS.settings, "limits", ARGV.limits)
end
wake_one()
return 1
