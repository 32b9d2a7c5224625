#!lua
-- Writes all of one user, over whatever is there of it.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions  4 their histories
-- ARGV    1 the latest absolute deadline of the sessions, s; 0 if there is none
--         2 time, ms; empty for the server's own
--         3 how many fields the user has, then each with its value
--         then how many sessions there are, then each id, 16 bytes, with its record, 64 bytes
--         then how many fields their details have, then each with its value
--         then the histories, each id, 16 bytes, with its lines
-- Reply   1
-- Takes   O(n) of all that is written. Lifetimes as in `begin`.
local DAY = 86400000

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local at = 4
local function write(key, count)
  for _ = 1, count do
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
end
write(KEYS[2], tonumber(ARGV[3]))
local function counted()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
write(KEYS[1], counted())
write(KEYS[3], counted())
write(KEYS[4], (#ARGV - at + 1) / 2)

local lifetime = math.max(tonumber(ARGV[1]) * 1000 - now, 0) + DAY
for _, key in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do redis.call('PEXPIRE', key, lifetime) end
return 1
