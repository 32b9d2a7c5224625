#!lua flags=allow-oom
-- Frees a user name, if it is this user's, be it settled or claimed.
--
-- KEYS    1 the name
-- ARGV    1 user id as text
-- Reply   1 if it was, 0 if not
-- Takes   O(1). May run when the server is out of memory: it makes room.
local found = redis.call('GET', KEYS[1])
if not found or string.match(found, '^[^ ]*') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
