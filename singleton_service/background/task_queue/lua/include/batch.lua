-- Call a command with many members, never more than 1,000 in one unpack.
local CHUNK = 1000

local function in_chunks(command, key, members)
    for first = 1, #members, CHUNK do
        redis.call(command, key, unpack(members, first, math.min(first + CHUNK - 1, #members)))
    end
end
