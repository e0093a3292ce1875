-- When a uid of our own was made, ms since 1970 by its maker's clock: nine digits to the base 32.
local DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"

local function made_ms(uid)
    local ms = 0
    for n = 2, 10 do
        ms = ms * 32 + (string.find(DIGITS, string.sub(uid, n, n), 1, true) or 1) - 1
    end
    return ms
end
