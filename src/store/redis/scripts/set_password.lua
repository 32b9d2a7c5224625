#!lua flags=allow-oom
-- Replaces a user's password hash. May run when the server is out of memory: hashes are of one size, and a full store
-- must not keep anybody from changing a stolen password.
--
-- KEYS    1 the user
-- ARGV    1 the password hash
-- Reply   1, or 0 if there is no such user
-- Takes   O(1).
if redis.call('HEXISTS', KEYS[1], 'name') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'password', ARGV[1])
return 1
