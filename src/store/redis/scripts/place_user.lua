#!lua
-- Writes all of one user, over whatever is there of it.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 the latest absolute deadline of the sessions, s; 0 if there is none
--         2 time, ms; empty for the server's own
--         3 how many fields the user has, then each with its value
--         then how many sessions there are, then each id, 16 bytes, with its record, 64 bytes
--         then the fields of their details, each with its value
-- Reply   1
-- Takes   O(n) of all that is written. Lifetimes as in `begin`.
local DAY = 86400000

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
local at = 4
local function write(key, count)
  for _ = 1, count do
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
end
write(KEYS[2], tonumber(ARGV[3]))
local sessions = tonumber(ARGV[at])
at = at + 1
write(KEYS[1], sessions)
write(KEYS[3], (#ARGV - at + 1) / 2)

local lifetime = math.max(tonumber(ARGV[1]) * 1000 - now, 0) + DAY
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('PEXPIRE', KEYS[3], lifetime)
return 1
