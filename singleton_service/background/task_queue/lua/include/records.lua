-- What is kept of a task that has ended: "state retries[+length of errors]|fence|ms|worker's number|result", then the
-- errors, if any, and the body, each from a new line. The first two numbers are hexadecimal; ms: since the fence.
-- Needs: nothing.
local function record_of(state, retries, fence, now_ms, worker, past, blob, result)
    local ms = math.max(0, now_ms - math.floor(fence / 1000))
    local head = { state, retries, past == "" and "" or ("+" .. #past) }
    local parts = { table.concat(head), string.format("%x|%x", fence, ms), worker, result }
    return table.concat(parts, "|") .. "\n" .. (past == "" and "" or (past .. "\n")) .. blob
end

local function settled_by(record)
    local fence, ms, worker = string.match(record, "^[^|]*|(%x+)|(%x+)|(%d*)|")
    return tonumber(fence, 16), tonumber(ms, 16), worker
end

local function ended_ms(record)
    local fence, ms = settled_by(record)
    return math.floor(fence / 1000) + ms
end
