#!lua
-- Replaces what stands under a user name, if it is still as it was seen: settles a claim, takes over a void one, or
-- gives one up.
--
-- KEYS    1 the name
-- ARGV    1 what was seen  2 what to write, empty to remove
-- Reply   what stands under the name now, or nil
-- Takes   O(1).
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] then return found end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  return false
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
