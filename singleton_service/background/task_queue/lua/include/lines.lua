-- Standing in line. The members of `waiting` are "line\nrank\nuid": they sort by line, then by rank, first come first.
-- A line is "u" and a unique key, or "l" and a limit key. `line_of` has the place of a uid, which is its member, or
-- will be: a task with a limit key keeps its place in that line until it ends, wherever it is. Needs keys: waiting line_of.
local function place_in(line, rank, uid)
    return line .. "\n" .. rank .. "\n" .. uid
end

-- What comes n-th in a batch stands behind all that came before.
local function arrival(now_us, n)
    return string.format("%.0f%04d", now_us, n)
end

-- Rank and uid of the first in a line, and its member; nil when nobody waits there.
local function first_in_line(line)
    local from, to = "[" .. line .. "\n", "(" .. line .. "\v"
    local member = redis.call("ZRANGE", KEYS.waiting, from, to, "BYLEX", "LIMIT", 0, 1)[1]
    if not member then
        return nil
    end
    local rank, uid = string.match(member, "^[^\n]*\n([^\n]*)\n(.*)$")
    return rank, uid, member
end

-- In the line of a limit key the more urgent come first.
local function place_for_turn(key, priority, arrived, uid)
    return place_in("l" .. key, (3 - priority) .. arrived, uid)
end
