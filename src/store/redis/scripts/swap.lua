-- Replaces one session's record if it is still as it was seen and the user is enabled.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes  2 record as it was seen, 64 bytes  3 record to write, 64 bytes
--         4 time, ms; empty for the server's own
-- Reply   as `observed.lua` has it, with the record as seen
-- Takes   O(1). Replaces 64 bytes by 64 bytes, so a full store need not stop it.
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local sid = ARGV[1]
local record = redis.call('HGET', KEYS[1], sid)
local user = redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes')
local thumbprint = redis.call('HGET', KEYS[3], 't' .. sid)

local applied = 0
if record and record == ARGV[2] and user[1] and user[3] == '0' then
  redis.call('HSET', KEYS[1], sid, ARGV[3])
  applied = 1
end
return observed(applied, now, record, user, thumbprint)
