#!lua flags=no-writes
-- All sessions of one user, with their details and without their histories.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 time, ms; empty for the server's own
-- Reply   time in ms, session ids and records in turn, fields and values of the details in turn,
--         user's name, roles, disabled flag, attributes and time of creation, each or nil
-- Takes   O(n) of the user's sessions.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

return {
  now,
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes', 'created'),
}
