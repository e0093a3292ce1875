-- Read a page of the tasks that one key names: those that are wanted, until there are enough.
--
-- keys:    body shelves due held waiting line_of reasons running attempts errors expiry progress results kept crew dead
-- args:    result_ttl_ms source scan after most limit status name tag
-- items:   uid
-- returns: how many were looked at; where to go on (scan, "end" when there is no more; after; a list of uids); then a list
--          of uid and what status.lua says, for each task that is wanted
--
-- scan is SCAN's own cursor. What it has read and the page has no room for is named, and comes back as the items: read
-- again, SCAN need not answer the same, and no order among its answers would hold. Only an answer that was the whole table
-- is taken up again, from the uid *after* which to go on. Shelves are read one after the other, and stand with their name
-- before the cursor. status, name, tag: "" for any.
-- Stops at *limit* wanted, *most* looked at, or enough bytes.
-- include: time batch plain shelves bodies traits expired records standing

local ENOUGH_BYTES = 4 * 1024 * 1024
-- SCAN of a hash brings the values with it, and they may be large: few at a time, more while they are small.
local FIRST_STEP, LARGEST_STEP, SMALL_BYTES = 4, 64, 256 * 1024
local SOURCES = {
    ["body"] = { "HSCAN", KEYS.body, KEYS.shelves },
    ["running"] = { "HSCAN", KEYS.running },
    ["attempts"] = { "HSCAN", KEYS.attempts },
    ["results"] = { "HSCAN", KEYS.results },
    ["dead"] = { "ZSCAN", KEYS.dead },
    ["expiry"] = { "ZSCAN", KEYS.expiry },
}
local STATUS = {
    ["c"] = "completed",
    ["x"] = "cancelled",
    ["e"] = "expired",
    ["running"] = "running",
    ["dead"] = "failed",
    ["expired"] = "expired",
}

local now_ms = server_time()

-- A finished record: how it ended, and the body in it.
local function parts_of(record)
    local errors_length = string.match(record, "^%a%d+%+(%d+)|")
    local begins = string.find(record, "\n", 1, true) + 1
    if errors_length then
        begins = begins + errors_length + 1
    end
    return string.sub(record, 1, 1), string.sub(record, begins)
end

local function is_marked(blob)
    if string.sub(blob, 1, 1) ~= "1" then
        return false
    end
    local called, payload_begins = string.match(blob, "^...%d+|([^\n]*)\n()")
    if ARGV.name ~= "" and called ~= ARGV.name then
        return false
    end
    local has_extras = ARGV.tag ~= "" and string.find(blob, "\n", payload_begins, true)
    for _, word in ipairs(has_extras and extras_of(blob).g or {}) do
        if word == ARGV.tag then
            return true
        end
    end
    return ARGV.tag == ""
end

local function is_wanted(task)
    local state, blob = task[1], task[2]
    if state == "unknown" then
        return false
    end
    if state == "finished" then
        state, blob = parts_of(blob)
    end
    local said = STATUS[state] or (string.match(task[4], "^[1-9]") and "retrying" or "pending")
    return (ARGV.status == "" or said == ARGV.status) and (ARGV.name == "" and ARGV.tag == "" or is_marked(blob))
end

local found, number, looked, bytes, twice = {}, 0, 0, 0, {}

local function is_full()
    return number >= tonumber(ARGV.limit) or looked >= tonumber(ARGV.most) or bytes >= ENOUGH_BYTES
end

-- Look at these until the page is full, and return how many that were.
local function look_at(uids)
    for n, uid in ipairs(uids) do
        if is_full() then
            return n - 1
        end
        looked = looked + 1
        local task = twice[uid] and { "unknown" } or standing(uid, now_ms)
        twice[uid] = true
        if is_wanted(task) then
            number = number + 1
            bytes = bytes + #task[2] + #task[5]
            found[#found + 1] = uid
            for _, part in ipairs(task) do
                found[#found + 1] = part
            end
        end
    end
    return #uids
end

local command, key, others = unpack(SOURCES[ARGV.source])

-- Where a position is, "cursor" in the first table or "shelf/cursor" in another: the key, the cursor, how it begins.
local function place_of(position)
    local shelf, cursor = string.match(position, "^([^/]*)/(.*)$")
    if shelf then
        return key .. ":" .. shelf, cursor, shelf .. "/"
    end
    return key, position, ""
end

-- The position after the end of a table.
local function next_table(prefix)
    if not others then
        return "end"
    end
    local from = prefix == "" and "-" or "(" .. string.sub(prefix, 1, -2)
    local shelf = redis.call("ZRANGE", others, from, "+", "BYLEX", "LIMIT", 0, 1)[1]
    return shelf and shelf .. "/0" or "end"
end

local step = FIRST_STEP
local position, threshold, left = ARGV.scan, ARGV.after, {}
for i = FIRST_ITEM, #ARGV do
    left[#left + 1] = ARGV[i]
end
left = { unpack(left, look_at(left) + 1) }

while position ~= "end" and #left == 0 and not is_full() do
    local at_key, cursor, prefix = place_of(position)
    local answer = redis.call(command, at_key, cursor, "COUNT", math.min(step, ARGV.limit - number))
    local is_last = answer[1] == "0"
    local uids, further, brought = {}, is_last and next_table(prefix) or prefix .. answer[1], 0
    for n = 1, #answer[2], 2 do
        brought = brought + #answer[2][n + 1]
        if answer[2][n] > threshold then
            uids[#uids + 1] = answer[2][n]
        end
    end
    table.sort(uids)
    step = brought < SMALL_BYTES and math.min(2 * step, LARGEST_STEP) or FIRST_STEP
    local past = look_at(uids)
    if past < #uids and cursor == "0" and is_last then
        threshold = uids[past]
    else
        position, left = further, { unpack(uids, past + 1) }
        -- It is of one table.
        threshold = is_last and "" or threshold
    end
end
return { looked, position, threshold, left, found }
