#!lua flags=allow-oom
-- Adds entries to the feed of revocations and removes those that are older than an hour. Goes by the server's own time,
-- by which the stream numbers its entries.
--
-- KEYS    1 the feed
-- ARGV    the entries, at most some hundred
-- Reply   nothing
-- Takes   O(entries added and removed). May run when the server is out of memory: a full store must not stop a
--         revocation.
local time = redis.call('TIME')
local earliest = string.format('%.0f', (time[1] - 3600) * 1000)
for _, entry in ipairs(ARGV) do
  redis.call('XADD', KEYS[1], 'MINID', earliest, '*', 'r', entry)
end
return true
