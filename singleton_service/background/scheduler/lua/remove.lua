-- Forget schedules. What they enqueued stays enqueued.
--
-- keys:    definitions states instants changes histories removed facts
-- args:    protocol changed_channel
-- items:   id
-- returns: per item 1, or 0 when there is none of that id
--
-- For a while `changes` tells that one was removed; those who have not looked since `floor` must read all anew.
-- include: speaks time states

local REMEMBERED = 1000

local answer = {}
for i = FIRST_ITEM, #ARGV do
    local id = ARGV[i]
    local state = state_of(id)
    if state then
        redis.call("HDEL", states, id)
        redis.call("HDEL", definitions, id)
        redis.call("HDEL", histories, id)
        redis.call("ZREM", instants, id)
        renew(id, state)
        redis.call("ZADD", removed, state.revision, id)
        if redis.call("ZCARD", removed) > REMEMBERED then
            local oldest, revision = unpack(redis.call("ZPOPMIN", removed))
            redis.call("ZREM", changes, oldest)
            redis.call("HSET", facts, "floor", digits(tonumber(revision)))
        end
    end
    answer[#answer + 1] = state and 1 or 0
end
tell()
return answer
