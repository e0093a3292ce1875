-- What is kept of a task that has ended: "state retries[+length of errors]|fence|ms|worker's number|result", then the
-- errors, if any, and the body, each from a new line. The first two numbers are hexadecimal; ms: since the fence.
-- Needs: nothing.
local function head_of(state, retries, fence, now_ms, worker, past)
    local ms = math.max(0, now_ms - math.floor(fence / 1000))
    local errors = past == "" and "" or "+" .. #past
    return state .. retries .. errors .. "|" .. string.format("%x|%x", fence, ms) .. "|" .. worker .. "|"
end

local function record_of(head, result, past, blob)
    return head .. result .. (past == "" and "\n" or "\n" .. past .. "\n") .. blob
end

local function settled_by(record)
    local fence, ms, worker = string.match(record, "^[^|]*|(%x+)|(%x+)|(%d*)|")
    return tonumber(fence, 16), tonumber(ms, 16), worker
end

local function ended_ms(record)
    local fence, ms = settled_by(record)
    return math.floor(fence / 1000) + ms
end
