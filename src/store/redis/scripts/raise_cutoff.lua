#!lua flags=allow-oom
-- Raises the cutoff, if the point is not in the future. It never goes back. Written even if it stays where it was, so
-- that a repetition has a write of its own to ask the replicas after.
--
-- KEYS    1 the cutoff
-- ARGV    1 point in time, s  2 time, ms; empty for the server's own
-- Reply   the cutoff in s, or nil if the point is in the future and nothing was written
-- Takes   O(1). May run when the server is out of memory: a full store must not stop a revocation.
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local cutoff = tonumber(ARGV[1])
if cutoff * 1000 > now then return false end
local found = redis.call('GET', KEYS[1])
if found then
  local before = tonumber(found)
  -- Not a number: for the caller to find, not to be written over.
  if not before then return found end
  cutoff = math.max(cutoff, before)
end
local text = string.format('%.0f', cutoff)
redis.call('SET', KEYS[1], text)
return text
