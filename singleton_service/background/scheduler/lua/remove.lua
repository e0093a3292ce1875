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
        redis.call("HDEL", KEYS.states, id)
        redis.call("HDEL", KEYS.definitions, id)
        redis.call("HDEL", KEYS.histories, id)
        redis.call("ZREM", KEYS.instants, id)
        renew(id, state)
        redis.call("ZADD", KEYS.removed, state.revision, id)
        if redis.call("ZCARD", KEYS.removed) > REMEMBERED then
            local oldest, revision = unpack(redis.call("ZPOPMIN", KEYS.removed))
            redis.call("ZREM", KEYS.changes, oldest)
            redis.call("HSET", KEYS.facts, "floor", digits(tonumber(revision)))
        end
    end
    answer[#answer + 1] = state and 1 or 0
end
tell()
return answer
