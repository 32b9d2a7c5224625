#!lua flags=no-writes
-- What one session and its user look like now.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes  2 time, ms; empty for the server's own
-- Reply   0, time in ms, record or nil, user's name, roles, disabled flag and attributes, each or nil, thumbprint or nil
-- Takes   O(1).
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local record = redis.call('HGET', KEYS[1], ARGV[1])
local user = redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes')
local thumbprint = redis.call('HGET', KEYS[3], 't' .. ARGV[1])
return { 0, now, record, user[1], user[2], user[3], user[4], thumbprint }
