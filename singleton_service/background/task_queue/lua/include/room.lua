-- Leases have ended: whoever waits for room is told. Needs keys: full wake; include: wake.
local function tell_of_room()
    if redis.call("EXISTS", full) == 1 then
        redis.call("DEL", full)
        wake_one()
    end
end
