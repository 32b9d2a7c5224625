-- Changes a user and ends sessions, all or nothing, if what the change was made from is still as it was seen. Runs
-- behind `ending.lua` and `operated.lua`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions  4 their histories
-- ARGV    1 time, ms; empty for the server's own
--         2 to 7 which sessions end and how, see `ending.lua`; an empty scope if none end
--         8 1 if the attributes must be as seen     9 those attributes, JSON; {} is as good as no field
--         10 1 if the password must be as seen     11 that password's hash
--         12 id of the operation that it is a part of, 16 bytes, empty for none
--         13 1 if the password becomes another one, which is counted
--         then field and value in turn: what is to stand in the user
-- Reply   nil if there is no such user; 0 if something is not as it was seen; 2 if another node has given the operation up; else what `end.lua` replies, in a list of its
--         own, and of the user as changed name, roles, disabled flag, attributes or nil, time of creation, and
--         how often the password has changed, or nil for never
-- Takes   O(n) of the user's sessions. May run when the server is out of memory: a full store must stop neither the
--         disabling of a user nor the change of a password that somebody else knows.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local seen = redis.call('HMGET', KEYS[2], 'name', 'attributes', 'password', 'password_changes')
if is_given_up(KEYS[2], ARGV[12]) then return GIVEN_UP end
if not seen[1] then return false end
if ARGV[8] == '1' and (seen[2] or '{}') ~= ARGV[9] then return 0 end
if ARGV[10] == '1' and seen[3] ~= ARGV[11] then return 0 end
if ARGV[13] == '1' then
  local changes = (tonumber(seen[4]) or 0) + 1
  redis.call('HSET', KEYS[2], 'password_changes', string.format('%.0f', changes))
end
if #ARGV > 13 then redis.call('HSET', KEYS[2], unpack(ARGV, 14)) end
note_operation(KEYS[2], ARGV[12])
local ended = { now, 0, {}, {} }
if ARGV[2] ~= '' then
  ended = { now, end_sessions(now, KEYS[1], KEYS[3], KEYS[4], { unpack(ARGV, 2, 7) }) }
end
local user =
  redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes', 'created', 'password_changes')
return { ended, unpack(user, 1, 6) }
