-- Say which schedules a process declares in code, all of them: what it declared before and does not now, it lets go.
--
-- keys:    definitions states instants changes removed facts declarers declarations
-- args:    protocol process lease_ms changed_channel
-- items:   id definition next_ms
-- returns: per item 1 when it is new or another than before, else 0
--
-- Of several words for one schedule the last said are in force, until who said them is gone.
-- include: speaks time states definitions declarations

local now_ms = server_time()
redis.call("ZADD", KEYS.declarers, digits(now_ms + ARGV.lease_ms), ARGV.process)
local answer, ids, is_declared, gone = {}, {}, {}, {}
for i = FIRST_ITEM, #ARGV, 3 do
    answer[#answer + 1] = put(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV.process, now_ms) and 1 or 0
    ids[#ids + 1] = ARGV[i]
    is_declared[ARGV[i]] = true
end
for _, id in ipairs(ids_in(redis.call("HGET", KEYS.declarations, ARGV.process))) do
    if not is_declared[id] then
        gone[#gone + 1] = id
    end
end
redis.call("HSET", KEYS.declarations, ARGV.process, table.concat(ids, "\n"))
let_go(gone, ARGV.process, now_ms)
tell()
return answer
