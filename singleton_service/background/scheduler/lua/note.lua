-- Note a fire by hand.
--
-- keys:    states histories
-- args:    id line
-- returns: 1, or 0 when there is no such schedule
-- include: time histories

if redis.call("HEXISTS", states, id) == 0 then
    return 0
end
local now_ms = server_time()
note(id, line, now_ms)
return 1
