-- Standing in line. The members of `waiting` are "line\nrank\nuid": they sort by line, then by rank, first come first.
-- A line is "u" and a unique key. `line_of` has the member of each uid. Needs keys: waiting line_of.
local function stand_in_line(line, rank, uid)
    local member = line .. "\n" .. rank .. "\n" .. uid
    redis.call("HSET", line_of, uid, member)
    redis.call("ZADD", waiting, 0, member)
end

-- Rank and uid of the first in a line, and its member; nil when nobody waits there.
local function first_in_line(line)
    local member = redis.call("ZRANGE", waiting, "[" .. line .. "\n", "(" .. line .. "\v", "BYLEX", "LIMIT", 0, 1)[1]
    if not member then
        return nil
    end
    local rank, uid = string.match(member, "^[^\n]*\n([^\n]*)\n(.*)$")
    return rank, uid, member
end

-- What comes n-th in a batch stands behind all that came before.
local function arrival(now_us, n)
    return string.format("%.0f%04d", now_us, n)
end
