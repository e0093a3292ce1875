-- Stop handing out tasks of a queue, or go on.
--
-- keys:    settings wake
-- args:    paused
-- returns: 1 when that changed something
-- include: wake

if ARGV.paused == "1" then
    return redis.call("HSETNX", KEYS.settings, "paused", "1")
end
local changed = redis.call("HDEL", KEYS.settings, "paused")
wake_one()
return changed
