-- The server's clock: the only one that decides anything.
local TEST_OFFSET_MS = 0

local function server_time()
    local t = redis.call("TIME")
    local us = t[1] * 1000000 + t[2] + TEST_OFFSET_MS * 1000
    return math.floor(us / 1000), us
end

local function digits(number)
    return string.format("%.0f", number)
end
