-- Read schedules that changed after a revision, a page at a time, in the order in which they did.
--
-- keys:    definitions states changes facts
-- args:    since limit
-- returns: whether those that were removed since are all told (else read from 0), then for each its id, when it changed,
--          its state and its definition, both "" when it was removed
--
-- A page ends early when it has become long. One whose last is not the latest revision is followed by others.

local LONGEST = 1024 * 1024

local floor = tonumber(redis.call("HGET", KEYS.facts, "floor") or 0)
local answer = { (ARGV.since == "0" or tonumber(ARGV.since) >= floor) and 1 or 0 }
local length = 0
local after = "(" .. ARGV.since
local page = redis.call("ZRANGE", KEYS.changes, after, "+inf", "BYSCORE", "LIMIT", 0, ARGV.limit, "WITHSCORES")
for n = 1, #page, 2 do
    local id = page[n]
    local blob = redis.call("HGET", KEYS.definitions, id) or ""
    answer[#answer + 1] = id
    answer[#answer + 1] = tonumber(page[n + 1])
    answer[#answer + 1] = redis.call("HGET", KEYS.states, id) or ""
    answer[#answer + 1] = blob
    length = length + #blob
    if length > LONGEST then
        break
    end
end
return answer
