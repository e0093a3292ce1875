-- Cancel tasks: those that do not run end now; those that do are not run again, and their worker is told.
--
-- keys:    body shelves due held running attempts errors reasons cancels expiry progress unique unique_of results finished kept dead counters waiters waiting line_of wake turns settings
-- args:    result_ttl_ms max_results ended_channel
-- items:   uid
-- returns: a string per item: 0 unknown or ended, 1 cancelled, 2 running and told
-- include: time batch plain shelves bodies count tally wake limits lines turns traits expired unique records keeping unstarted endings

local now_ms = server_time()
local verdict, ended = {}, {}
for i = FIRST_ITEM, #ARGV do
    local uid = ARGV[i]
    local blob = blob_of(uid)
    if not blob or redis.call("ZSCORE", KEYS.dead, uid) or has_expired(uid, blob, now_ms) then
        verdict[#verdict + 1] = "0"
    elseif redis.call("HEXISTS", KEYS.running, uid) == 1 then
        redis.call("HSET", KEYS.cancels, uid, "1")
        verdict[#verdict + 1] = "2"
    else
        end_unstarted(uid, blob, "x", now_ms)
        ended[#ended + 1] = uid
        verdict[#verdict + 1] = "1"
    end
end
tell_waiters(ended)
return table.concat(verdict)
