-- One line of JSON per failed attempt, oldest first. Of many the first and the latest are kept, and between them a line
-- says how many were left out: however often a task is tried, its record ends growing. Needs keys: errors.
local FIRST_KEPT, LATEST_KEPT = 3, 7
-- No client of ours sends a longer one.
local LONGEST_ERROR = 256 * 1024
local TOO_LONG = [[{"w":0,"t":"ErrorTooLong","m":"the attempt failed; its error was not kept: %d bytes","tb":null}]]

local function append_error(uid, error)
    if #error > LONGEST_ERROR then
        error = string.format(TOO_LONG, #error)
    end
    local earlier = redis.call("HGET", KEYS.errors, uid)
    if not earlier then
        redis.call("HSET", KEYS.errors, uid, error)
        return
    end
    local lines = {}
    for line in string.gmatch(earlier, "[^\n]+") do
        lines[#lines + 1] = line
    end
    lines[#lines + 1] = error
    local left_out = string.match(lines[FIRST_KEPT + 1] or "", "^%d+$")
    if left_out and #lines > FIRST_KEPT + 1 + LATEST_KEPT then
        table.remove(lines, FIRST_KEPT + 2)
        lines[FIRST_KEPT + 1] = string.format("%.0f", left_out + 1)
    elseif not left_out and #lines > FIRST_KEPT + LATEST_KEPT then
        lines[FIRST_KEPT + 1] = "1"
    end
    redis.call("HSET", KEYS.errors, uid, table.concat(lines, "\n"))
end
