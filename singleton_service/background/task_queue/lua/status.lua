-- Read tasks as they stand now.
--
-- keys:    body shelves due held waiting line_of reasons running attempts errors expiry progress results kept crew dead
-- args:    result_ttl_ms
-- items:   uid
-- returns: per item: state, blob or record, detail, attempts, errors, progress, expiry ("" each when there is none)
--
-- detail: when an expired one did (ms), the lease of a running task, the line of a waiting one, the due ms of a due one, "ms|reason" of a held one, ms of death of a dead one, the worker of a finished one.
-- include: time batch plain shelves bodies traits expired records standing

local now_ms = server_time()
local answer = {}
for i = FIRST_ITEM, #ARGV do
    for _, part in ipairs(standing(ARGV[i], now_ms)) do
        answer[#answer + 1] = part
    end
end
return answer
