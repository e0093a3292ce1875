-- Waking somebody for work. Needs keys: wake.
-- At most one token: it wakes one dispatcher, which puts it back if work is left.
local function wake_one()
    if redis.call("EXISTS", KEYS.wake) == 0 then
        redis.call("RPUSH", KEYS.wake, "1")
    end
end
