-- Telling who waits that tasks have ended for good. Needs keys: waiters; args: ended_channel.
local MAX_PUBLISHED = 1000

local function tell_waiters(uids)
    if redis.call("EXISTS", KEYS.waiters) == 0 then
        return
    end
    for n = 1, math.min(#uids, MAX_PUBLISHED) do
        if redis.call("HDEL", KEYS.waiters, uids[n]) == 1 then
            redis.call("PUBLISH", ARGV.ended_channel, uids[n])
        end
    end
end
