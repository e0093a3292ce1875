-- What a newer version of this package has made its own is not written to. Needs keys: settings; args: protocol.
local function is_newer(number)
    return number and tonumber(number) > tonumber(ARGV.protocol)
end

local function refuse(number)
    return redis.error_reply("NEWPROTOCOL " .. number .. " " .. KEYS.settings)
end
