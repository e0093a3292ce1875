-- What a schedule stands at, in one line: "revision|flags|next instant|runs|missed|retired at|declared by".
-- Flags: c declared in code, p paused, r retired. In `instants` is who fires: not paused, not retired, not over.
-- Needs keys: states instants changes facts; args: changed_channel; include: time.
local has_changed = false

local function state_of(id)
    local line = redis.call("HGET", KEYS.states, id)
    if not line then
        return nil
    end
    local revision, flags, next_ms, runs, missed, retired_ms, by =
        string.match(line, "^(%d+)|(%a*)|(%d*)|(%d+)|(%d+)|(%d*)|(.*)$")
    return {
        revision = revision, flags = flags, next_ms = next_ms, runs = runs, missed = missed, retired_ms = retired_ms,
        by = by,
    }
end

local function new_state()
    return { revision = "0", flags = "", next_ms = "", runs = "0", missed = "0", retired_ms = "", by = "" }
end

local function is(state, flag)
    return string.find(state.flags, flag, 1, true) ~= nil
end

local function mark(state, flag, on)
    state.flags = string.gsub(state.flags, flag, "") .. (on and flag or "")
end

-- A change that every scheduler must hear of.
local function renew(id, state)
    state.revision = digits(redis.call("HINCRBY", KEYS.facts, "revision", 1))
    redis.call("ZADD", KEYS.changes, state.revision, id)
    has_changed = true
end

local function keep(id, state)
    local line = { state.revision, state.flags, state.next_ms, state.runs, state.missed, state.retired_ms, state.by }
    redis.call("HSET", KEYS.states, id, table.concat(line, "|"))
    if state.next_ms == "" or is(state, "p") or is(state, "r") then
        redis.call("ZREM", KEYS.instants, id)
    else
        redis.call("ZADD", KEYS.instants, state.next_ms, id)
    end
end

local function tell()
    if has_changed then
        redis.call("PUBLISH", ARGV.changed_channel, redis.call("HGET", KEYS.facts, "revision"))
    end
end
