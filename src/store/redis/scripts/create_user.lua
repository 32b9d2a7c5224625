-- Writes a user, if there is none of this id. Users have no expiry. Runs behind `operated.lua`.
--
-- KEYS    1 the user
-- ARGV    1 name  2 roles, JSON  3 1 if there is a password hash  4 the password hash
--         5 the attributes, JSON, empty for none  6 1 if the user is disabled, else 0
--         7 time, ms; empty for the server's own
--         8 id of the operation that it is a part of, 16 bytes, empty for none
-- Reply   2 if another node has given the operation up, else name and time of creation, in ms, of the user of this id,
--         the new one or the old
-- Takes   O(1).
local now = tonumber(ARGV[7])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local found = redis.call('HMGET', KEYS[1], 'name', 'created')
if found[1] then return found end
if is_given_up(KEYS[1], ARGV[8]) then return GIVEN_UP end

-- The tombstone of a user who had this id before, with its expiry.
redis.call('DEL', KEYS[1])
local created = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'name', ARGV[1], 'roles', ARGV[2], 'disabled', ARGV[6], 'created', created)
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'password', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'attributes', ARGV[5]) end
note_operation(KEYS[1], ARGV[8])
return { ARGV[1], created }
