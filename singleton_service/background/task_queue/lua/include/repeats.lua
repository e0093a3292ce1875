-- When an earlier answer may have been lost (again is "1"), count as a yes what had settled an item under this lease.
local function or_settled_before(answer, width, was_settled)
    if ARGV.again ~= "1" then
        return answer
    end
    local verdicts = {}
    for n = 1, #answer do
        local verdict = string.sub(answer, n, n)
        verdicts[n] = verdict == "0" and was_settled(FIRST_ITEM + (n - 1) * width) and "1" or verdict
    end
    return table.concat(verdicts)
end
