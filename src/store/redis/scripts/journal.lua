#!lua flags=no-writes
-- What the journal holds.
--
-- KEYS    1 the log  2 the open operations
-- ARGV    1 time, ms; empty for the server's own  2 where in the log to begin, as `XRANGE` has it  3 most entries
-- Reply   time in ms, entries of the log as `XRANGE` gives them, ids of the open operations and what is kept of each in turn
-- Takes   O(n) of the entries and of the open operations, of which there are few at any time.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local entries = {}
if ARGV[3] ~= '0' then entries = redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', ARGV[3]) end
return { now, entries, redis.call('HGETALL', KEYS[2]) }
