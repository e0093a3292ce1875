-- What a newer version of this package has made its own is not written to. Needs keys: facts; args: protocol.
local number = redis.call("HGET", KEYS.facts, "protocol")
if number and tonumber(number) > tonumber(ARGV.protocol) then
    return redis.error_reply("NEWPROTOCOL " .. number .. " " .. KEYS.facts)
end
