#!lua
-- Claims a user name, if nobody has. A claim that is not settled yet is the user's id, a space and the time.
--
-- KEYS    1 the name
-- ARGV    1 user id as text  2 time, ms; empty for the server's own
-- Reply   time in ms, what stands under the name now
-- Takes   O(1).
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local found = redis.call('GET', KEYS[1])
if not found then
  found = ARGV[1] .. ' ' .. string.format('%.0f', now)
  redis.call('SET', KEYS[1], found)
end
return { now, found }
