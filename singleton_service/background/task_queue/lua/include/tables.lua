-- Inside the server a hash of few short values is a list, and every field that is looked for a walk along it. One value
-- that is too long for that makes it a table, which it stays when the value has gone again.
local FILLER, TOO_LONG = "-", string.rep("-", 65)

local function make_table(hash)
    redis.call("HSET", hash, FILLER, TOO_LONG)
    redis.call("HDEL", hash, FILLER)
end
