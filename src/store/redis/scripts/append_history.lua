#!lua
-- Adds a line to a session's history, of which the latest are kept.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes  2 the line  3 how many are kept
-- Reply   1, or 0 if there is no such session and nothing was written
-- Takes   O(n) of the lines that are kept.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local field = 'h' .. ARGV[1]
local kept = redis.call('HGET', KEYS[3], field)
local lines = kept and kept .. '\n' .. ARGV[2] or ARGV[2]
local _, breaks = string.gsub(lines, '\n', '')
for _ = 1, breaks + 1 - tonumber(ARGV[3]) do
  lines = string.sub(lines, string.find(lines, '\n', 1, true) + 1)
end
redis.call('HSET', KEYS[3], field, lines)
if redis.call('PTTL', KEYS[3]) == -1 then
  local lifetime = redis.call('PTTL', KEYS[1])
  if lifetime > 0 then redis.call('PEXPIRE', KEYS[3], lifetime) end
end
return 1
