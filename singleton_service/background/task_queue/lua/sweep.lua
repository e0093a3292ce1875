-- Forget finished and failed tasks past their time or beyond their number, a bounded lot at a time.
--
-- keys:    body shelves attempts errors results finished kept dead waiters
-- args:    result_ttl_ms max_results failed_ttl_ms max_failed limit
-- returns: results forgotten, failed tasks forgotten
-- include: time batch plain shelves bodies traits records keeping graves

local now_ms = server_time()
return { forget(tonumber(ARGV.limit), now_ms), forget_failed(tonumber(ARGV.limit), now_ms) }
