#!lua flags=allow-oom
-- The ordinary refresh: if the guards hold, writes the next record. `domain::rotation` has the rule; this is its
-- `guards_hold` and its `next` on the packed record of `domain::record` (offsets there count from 0, here from 1).
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes           2 generation and nonce presented, 12 bytes
--         3 attempt hash presented, 8 bytes, zero for none
--         4 flags that the record must have: not ended, delivery and DPoP binding as presented, password
--         5 client number, 2 bytes         6 DPoP thumbprint presented, 32 bytes, empty for none
--         7 cutoff, s                      8 idle lifetime, s
--         9 cost of a refresh, 0.1 s      10 highest debt, 0.1 s
--        11 bytes 2 to 31 of the next record: no reason, MAC key, generation, nonce, previous nonce, attempt hash
--        12 bytes 58 to 63 of the next record: origin tag, spare
--        13 time, ms; empty for the server's own
-- Reply   applied (0 or 1), time used in ms, record as seen or nil, user's name, roles, disabled flag and
--         attributes, each or nil, thumbprint or nil
-- Takes   O(1). Replaces 64 bytes by 64 bytes, so a full store need not stop it. The expiry of the key stays as
--         `begin.lua` set it: it covers the absolute deadline, which no rotation moves.
local byte, sub, floor, min = string.byte, string.sub, math.floor, math.min

local now = tonumber(ARGV[13])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local sid = ARGV[1]
local record = redis.call('HGET', KEYS[1], sid)
local user = redis.call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes')
local thumbprint = false

local function reply(applied)
  return { applied, now, record, user[1], user[2], user[3], user[4], thumbprint }
end

-- Another length or another version: not ours to write.
if not record or #record ~= 64 or byte(record, 1) ~= 1 then return reply(0) end

local flags = byte(record, 2)
if flags % 16 >= 8 then
  thumbprint = redis.call('HGET', KEYS[3], 't' .. sid)
  -- Of a bound session whose thumbprint is lost the binding must not be forgotten.
  if thumbprint ~= ARGV[6] then return reply(0) end
end

local signed_in, idle, absolute = struct.unpack('>I4I4I4', record, 39)
if not user[1] or user[3] ~= '0'
  or flags ~= tonumber(ARGV[4])
  or signed_in < tonumber(ARGV[7])
  or sub(record, 55, 56) ~= ARGV[5]
  or now >= absolute * 1000
  or now >= idle * 1000
  or sub(record, 5, 16) ~= ARGV[2]
  or (ARGV[3] ~= '\0\0\0\0\0\0\0\0' and sub(record, 25, 32) == ARGV[3])
then
  return reply(0)
end

-- `domain::budget`: what time has paid back is taken off the debt, then this refresh is added.
local rotated_at = struct.unpack('>I6', record, 33)
local debt = struct.unpack('>I2', record, 57)
local paid_back = 0
if now > rotated_at then paid_back = floor((now - rotated_at) / 100) end
debt = math.max(debt - paid_back, 0) + tonumber(ARGV[9])
if debt > tonumber(ARGV[10]) then return reply(0) end

local second = min(floor(now / 1000), 4294967295)
idle = min(second + tonumber(ARGV[8]), absolute)
redis.call('HSET', KEYS[1], sid, table.concat({
  sub(record, 1, 2),
  ARGV[11],
  struct.pack('>I6', min(now, 281474976710655)),
  sub(record, 39, 42),
  struct.pack('>I4', idle),
  sub(record, 47, 50),
  '\0\0\0\0',
  sub(record, 55, 56),
  struct.pack('>I2', debt),
  ARGV[12],
}))
return reply(1)
