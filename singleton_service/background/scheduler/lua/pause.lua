-- Pause a schedule, or have it go on.
--
-- keys:    states instants changes facts
-- args:    protocol id revision next_ms changed_channel
-- returns: "done"; "same" when it is so already; "unknown"; "changed" when it is not as it was at that revision
--
-- next_ms: "pause", else its next instant, "" when there is none: what went by while it was paused is not missed.
-- include: speaks time states

local state = state_of(ARGV.id)
if not state or is(state, "r") then
    return "unknown"
elseif state.revision ~= ARGV.revision then
    return "changed"
elseif is(state, "p") == (ARGV.next_ms == "pause") then
    return "same"
end
mark(state, "p", ARGV.next_ms == "pause")
if ARGV.next_ms ~= "pause" then
    state.next_ms = ARGV.next_ms
end
renew(ARGV.id, state)
keep(ARGV.id, state)
tell()
return "done"
