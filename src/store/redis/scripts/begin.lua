-- Begins a session and makes room for it, if the user is enabled, the password is still the one that was checked, the
-- session's id is free, every session that changes is still as it was seen and there are not too many others. Runs
-- behind `operated.lua`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions  4 their histories
-- ARGV    1 session id, 16 bytes      2 its first record, 64 bytes
--         3 its details, JSON         4 DPoP thumbprint, 32 bytes, empty for none
--         5 time, ms; empty for the server's own
--         6 how many records the user may have before all this
--         7 1 if a password was checked       8 the hash that it was checked against
--         9 id of the operation that it is a part of, 16 bytes, empty for none
--         then for each session that changes: session id, record as it was seen, record to write or empty to forget
-- Reply   1 if begun, 0 if a condition did not hold and nothing was written, 2 if another node has given the operation up
-- Takes   O(n) of the sessions that change. Lifetimes of the keys only grow and outlive the session's absolute
--         deadline by a day. They are relative, so that a time handed in by a test is no earlier than the server's.
local DAY = 86400000

local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local sid, record = ARGV[1], ARGV[2]
local user = redis.call('HMGET', KEYS[2], 'name', 'disabled', 'password')
if is_given_up(KEYS[2], ARGV[9]) then return GIVEN_UP end
if not user[1] or user[2] ~= '0' then return 0 end
if ARGV[7] == '1' and user[3] ~= ARGV[8] then return 0 end
if redis.call('HEXISTS', KEYS[1], sid) == 1 then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[6]) then return 0 end
for i = 10, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then return 0 end
end

for i = 10, #ARGV, 3 do
  local other, replacement = ARGV[i], ARGV[i + 2]
  if replacement == '' then
    redis.call('HDEL', KEYS[1], other)
    redis.call('HDEL', KEYS[3], 'd' .. other, 't' .. other, 'n' .. other)
    redis.call('HDEL', KEYS[4], other)
  else
    redis.call('HSET', KEYS[1], other, replacement)
  end
end

note_operation(KEYS[2], ARGV[9])
redis.call('HSET', KEYS[1], sid, record)
redis.call('HSET', KEYS[3], 'd' .. sid, ARGV[3])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], 't' .. sid, ARGV[4]) end

local absolute = struct.unpack('>I4', record, 47)
local lifetime = math.max(absolute * 1000 - now, 0) + DAY
for _, key in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do
  -- `GT` takes a key without an expiry for one that lives for ever: it never gives such a key its first one.
  if redis.call('PTTL', key) == -1 then
    redis.call('PEXPIRE', key, lifetime)
  else
    redis.call('PEXPIRE', key, lifetime, 'GT')
  end
end
return 1
