#!lua flags=allow-oom
-- Adds a signing key or replaces the one of the same id, if the shelf still has the version that was seen. May run
-- when the server is out of memory: a full store must not stop the revocation of a key.
--
-- KEYS    1 the shelf
-- ARGV    1 version that was seen  2 key id  3 everything about the key, sealed
-- Reply   1, or 0 if the shelf has another version
-- Takes   O(1).
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'k' .. ARGV[2], ARGV[3])
return 1
