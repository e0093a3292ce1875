-- What a newer version of this package has made its own is not written to. Needs: number, of the protocol the queue has;
-- keys: settings; args: protocol.
if number and tonumber(number) > tonumber(ARGV.protocol) then
    return redis.error_reply("NEWPROTOCOL " .. number .. " " .. KEYS.settings)
end
