-- Deletes a user with all sessions. What stays for a day is a tombstone without the field `name`, which counts as no user
-- everywhere, and without password and attributes: a deletion that broke off finds the name in it and goes on, and one
-- that is repeated is answered as the first was. Repeated on a tombstone it writes that again, so that a repetition has a
-- write of its own to ask the replicas after. Runs behind `operated.lua`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions  4 their histories
-- ARGV    1 time, ms; empty for the server's own  2 id of the operation that it is a part of, 16 bytes, empty for none
-- Reply   nil if there is neither user nor tombstone; 2 if another node has given the operation up; else of the user as it was
--         name, roles, disabled flag, attributes or nil, and time of creation
-- Takes   O(n) of the user's sessions. May run when the server is out of memory: it makes room.
local DAY = 86400000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

if is_given_up(KEYS[2], ARGV[2]) then return GIVEN_UP end
local user =
  redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes', 'created', 'deleted', 'deleted_at')
local is_known = user[6] and now - (tonumber(user[7]) or 0) <= DAY
local name = user[1] or (is_known and user[6])
if not name then return false end

local deleted_at = user[1] and string.format('%.0f', now) or user[7]
redis.call('HSET', KEYS[2], 'deleted', name, 'deleted_at', deleted_at)
redis.call('HDEL', KEYS[2], 'name', 'password', 'password_changes', 'attributes')
note_operation(KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
redis.call('PEXPIRE', KEYS[2], DAY)
return { name, unpack(user, 2, 5) }
