-- Note a fire by hand.
--
-- keys:    states histories facts
-- args:    protocol id line
-- returns: 1, or 0 when there is no such schedule
-- include: speaks time histories

if redis.call("HEXISTS", KEYS.states, ARGV.id) == 0 then
    return 0
end
local now_ms = server_time()
note(ARGV.id, ARGV.line, now_ms)
return 1
