#!lua flags=allow-oom
-- Removes a signing key, if the shelf still has the version that was seen. May run when the server is out of memory: it
-- takes none.
--
-- KEYS    1 the shelf
-- ARGV    1 version that was seen  2 key id
-- Reply   1, also if there is no such key; 0 if the shelf has another version
-- Takes   O(1).
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HDEL', KEYS[1], 'k' .. ARGV[2])
return 1
