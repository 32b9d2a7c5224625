-- The ordinary refresh: if the guards hold, writes the next record. `domain::rotation` has the rule; this is its
-- `guards_hold` and its `next` on the packed record of `domain::record`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes
--         2 packed, big-endian: what is presented - flags that the record must have (not ended, delivery and DPoP binding,
--           password; 1 byte), generation and nonce (12), attempt hash (8, zero for none), client number (2); the
--           policy - cutoff, s (4), idle lifetime, s (4), cost of a refresh, 0.1 s (2), highest debt, 0.1 s (2); and of the next
--           record its bytes 2 to 31 (no reason, MAC key, generation, nonce, previous nonce, attempt hash) and 58 to 63
--           (origin tag, spare)
--         3 DPoP thumbprint presented, 32 bytes, empty or left out for none
--         4 time, ms; empty or left out for the server's own
-- Reply   as `observed.lua` has it, with the record as seen
-- Takes   O(1). Replaces 64 bytes by 64 bytes, so a full store need not stop it. The expiry of the key stays as
--         `begin.lua` set it: it covers the absolute deadline, which no rotation moves.
local floor, min, call = math.floor, math.min, redis.call
local unpack = struct.unpack

local now = tonumber(ARGV[4])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local sid = ARGV[1]
local record = call('HGET', KEYS[1], sid)
local user = call('HMGET', KEYS[2], 'name', 'roles', 'disabled', 'attributes')
-- Another length or another version: not ours to write.
if not record or #record ~= 64 then return observed(0, now, record, user, false) end
local version, flags, current, attempt, rotated_at, signed_in, idle, absolute, client, debt =
  unpack('>BBxxc12xxxxxxxxc8I6I4I4I4xxxxc2I2', record)
if version ~= 1 then return observed(0, now, record, user, false) end

local thumbprint = false
if flags % 16 >= 8 then
  thumbprint = call('HGET', KEYS[3], 't' .. sid)
  -- Of a bound session whose thumbprint is lost the binding must not be forgotten.
  if thumbprint ~= ARGV[3] then return observed(0, now, record, user, thumbprint) end
end

local own_flags, own_current, own_attempt, own_client, cutoff, idle_ttl, cost, most_debt, middle, tail =
  unpack('>Bc12c8c2I4I4I2I2c30c6', ARGV[2])
if not user[1] or user[3] ~= '0'
  or flags ~= own_flags
  or signed_in < cutoff
  or client ~= own_client
  or now >= absolute * 1000
  or now >= idle * 1000
  or current ~= own_current
  or (attempt == own_attempt and attempt ~= '\0\0\0\0\0\0\0\0')
then
  return observed(0, now, record, user, thumbprint)
end

-- `domain::budget`: what time has paid back is taken off the debt, then this refresh is added.
local paid_back = 0
if now > rotated_at then paid_back = floor((now - rotated_at) / 100) end
debt = math.max(debt - paid_back, 0) + cost
if debt > most_debt then return observed(0, now, record, user, thumbprint) end

local second = min(floor(now / 1000), 4294967295)
idle = min(second + idle_ttl, absolute)
call('HSET', KEYS[1], sid, struct.pack('>BBc30I6I4I4I4I4c2I2c6',
  version, flags, middle, min(now, 281474976710655), signed_in, idle, absolute, 0, client, debt, tail))
return observed(1, now, record, user, thumbprint)
