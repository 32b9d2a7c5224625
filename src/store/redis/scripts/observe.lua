-- What one session and its user look like now.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes  2 time, ms; empty for the server's own
-- Reply   as `observed.lua` has it, not applied
-- Takes   O(1).
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local record = redis.call('HGET', KEYS[1], ARGV[1])
local user = redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes')
return observed(0, now, record, user, redis.call('HGET', KEYS[3], 't' .. ARGV[1]))
