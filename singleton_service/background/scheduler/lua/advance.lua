-- Go on to the next instant of schedules whose instants were seen to, and note what became of them.
--
-- keys:    states instants histories changes facts
-- args:    protocol changed_channel
-- items:   id revision instant next_ms runs missed lines
-- returns: per item 1, or 0 when it has another revision or another next instant by now: then nothing was changed
--
-- The tasks are in their queues by now, under ids made of schedule and instant: whoever comes to this instant before
-- this script has run enqueues the same ones again, and adds none. lines: see histories, joined by newlines.
-- Invariant: of those who have seen to an instant, one goes on from it.
-- include: speaks time states histories

local now_ms = server_time()
local answer = {}
for i = FIRST_ITEM, #ARGV, 7 do
    local id, revision, instant, next_ms, runs, missed, lines = unpack(ARGV, i, i + 6)
    local state = state_of(id)
    local is_mine = state and state.revision == revision and state.next_ms == instant
        and not is(state, "p") and not is(state, "r")
    if is_mine then
        state.next_ms = next_ms
        state.runs = digits(state.runs + runs)
        state.missed = digits(state.missed + missed)
        keep(id, state)
        note(id, lines, now_ms)
    end
    answer[#answer + 1] = is_mine and 1 or 0
end
return answer
