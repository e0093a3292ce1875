-- Stop handing out tasks of a queue, or go on.
--
-- keys:    settings wake
-- args:    paused
-- returns: 1 when that changed something
-- include: wake

if paused == "1" then
    return redis.call("HSETNX", settings, "paused", "1")
end
local changed = redis.call("HDEL", settings, "paused")
wake_one()
return changed
