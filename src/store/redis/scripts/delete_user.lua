#!lua flags=allow-oom
-- Deletes a user with all sessions. What stays is a tombstone without the field `name`, which counts as no user
-- everywhere, and without the password: a deletion that broke off finds the name in it and goes on. Repeated on a
-- tombstone it writes that again, so that a repetition has a write of its own to ask the replicas after.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- Reply   nil if there is neither user nor tombstone; else of the user as it was name, roles, disabled flag,
--         attributes or nil, and time of creation
-- Takes   O(n) of the user's sessions. May run when the server is out of memory: it makes room.
local user = redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes', 'created', 'deleted')
local name = user[1] or user[6]
if not name then return false end

redis.call('HSET', KEYS[2], 'deleted', name)
redis.call('HDEL', KEYS[2], 'name', 'password')
redis.call('DEL', KEYS[1], KEYS[3])
return { name, unpack(user, 2, 5) }
