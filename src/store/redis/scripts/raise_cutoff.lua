#!lua flags=allow-oom
-- Raises a cutoff. It never goes back. Written even if it stays where it was, so that a repetition has a write of its own
-- to ask the replicas after.
--
-- KEYS    1 the cutoffs
-- ARGV    1 whose  2 point in time, ms  3 1 if it must not lie in the future  4 time, ms; empty for the server's own
-- Reply   the cutoff in ms, or nil if the point is in the future and nothing was written
-- Takes   O(1). May run when the server is out of memory: a full store must not stop a revocation.
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local cutoff = tonumber(ARGV[2])
if ARGV[3] == '1' and cutoff > now then return false end
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  local before = tonumber(found)
  -- Not a number: for the caller to find, not to be written over.
  if not before then return found end
  cutoff = math.max(cutoff, before)
end
local text = string.format('%.0f', cutoff)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text
