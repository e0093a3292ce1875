-- Make schedules at run time, or change them. The same definition again changes nothing.
--
-- keys:    definitions states instants changes removed facts
-- args:    protocol changed_channel
-- items:   id definition next_ms
-- returns: per item 1 when it is new or another than before, else 0
--
-- next_ms: its first instant, "" when there is none.
-- Invariant: an id has a definition when and only when it has a state.
-- include: speaks time states definitions

local now_ms = server_time()
local answer = {}
for i = FIRST_ITEM, #ARGV, 3 do
    answer[#answer + 1] = put(ARGV[i], ARGV[i + 1], ARGV[i + 2], "", now_ms) and 1 or 0
end
tell()
return answer
