-- Renew what a process declares, let go what those declared whose time is over, and tell the time.
--
-- keys:    states instants changes facts declarers declarations
-- args:    protocol process lease_ms changed_channel
-- returns: now in us, the latest revision, whether the process is known: else it is to declare again, if it does
--
-- Who declares nothing, or whose time is over, hears the time and changes nothing: what was declared outlasts any gap in
-- which no scheduler runs.
-- include: speaks time states declarations

local MOST_AT_ONCE = 20

local now_ms, now_us = server_time()
local known_until = redis.call("ZSCORE", KEYS.declarers, ARGV.process)
local is_known = known_until and tonumber(known_until) > now_ms
local over = {}
if is_known then
    redis.call("ZADD", KEYS.declarers, digits(now_ms + ARGV.lease_ms), ARGV.process)
    over = redis.call("ZRANGE", KEYS.declarers, "-inf", digits(now_ms), "BYSCORE", "LIMIT", 0, MOST_AT_ONCE)
end
for _, gone in ipairs(over) do
    local ids = ids_in(redis.call("HGET", KEYS.declarations, gone))
    redis.call("ZREM", KEYS.declarers, gone)
    redis.call("HDEL", KEYS.declarations, gone)
    let_go(ids, gone, now_ms)
end
tell()
return { digits(now_us), tonumber(redis.call("HGET", KEYS.facts, "revision") or 0), is_known and 1 or 0 }
