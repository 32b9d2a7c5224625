-- The ordinary refresh: if the guards hold, writes the next record. `domain::rotation` has the rule; this is its
-- `guards_hold` and its `next` on the packed record of `domain::record`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions
-- ARGV    1 session id, 16 bytes
--         2 packed, big-endian: what is presented - flags that the record must have (not ended, delivery and DPoP binding,
--           password; 1 byte), generation and nonce (12), attempt hash (8, zero for none), client number (2); the
--           policy - cutoff, ms (6), idle and absolute lifetime, s (4 each), cost of a refresh, 0.1 s (2), highest debt,
--           0.1 s (2); and of the next record its bytes 2 to 31 (no reason, MAC key, generation, nonce, previous nonce, attempt hash) and 58 to 63
--           (origin tag, spare)
--         3 DPoP thumbprint presented, 32 bytes, empty or left out for none
--         4 time, ms; empty or left out for the server's own
-- Reply   as `observed.lua` has it, with the record as seen
-- Takes   O(1). Replaces 64 bytes by 64 bytes, so a full store need not stop it. The expiry of the key stays as
--         `begin.lua` set it: it covers the absolute deadline, which no rotation moves later.
local ceil, floor, call = math.ceil, math.floor, redis.call
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

local own_flags, own_current, own_attempt, own_client, cutoff, idle_ttl, absolute_ttl, cost, most_debt, middle, tail =
  unpack('>Bc12c8c2I6I4I4I2I2c30c6', ARGV[2])

-- `SessionRecord::bounded_by`: of the recorded deadlines and those of the policy the earlier ones count.
local used_at = rotated_at
if rotated_at >= 4398046511104 then
  rotated_at = rotated_at % 4398046511104
  used_at = rotated_at + (used_at - rotated_at) / 4398046511104 * 3600000
end
local oldest, unused = signed_in + 1 + absolute_ttl, ceil(used_at / 1000) + idle_ttl
if absolute > oldest then absolute = oldest end
if idle > unused then idle = unused end
if idle > absolute then idle = absolute end

if not user[1] or user[3] ~= '0'
  or flags ~= own_flags
  or (cutoff > 0 and unpack('>I6', sid) < cutoff)
  or client ~= own_client
  or now >= absolute * 1000
  or now >= idle * 1000
  or current ~= own_current
  or (attempt == own_attempt and attempt ~= '\0\0\0\0\0\0\0\0')
then
  return observed(0, now, record, user, thumbprint)
end

-- `domain::budget`: what time has paid back is taken off the debt, then this refresh is added.
debt = now < rotated_at and 0 or debt - floor((now - rotated_at) / 100)
debt = debt > 0 and debt + cost or cost
if debt > most_debt then return observed(0, now, record, user, thumbprint) end

-- The idle deadline does not move back, though the clock may have. By how many hours it is ahead stands above the time.
local moved = ceil(now / 1000) + idle_ttl
if moved > absolute then moved = absolute end
rotated_at = now < 4398046511104 and now or 4398046511103
if idle > moved then
  rotated_at = rotated_at + math.min(ceil((idle - moved) / 3600), 63) * 4398046511104
else
  idle = moved
end
call('HSET', KEYS[1], sid, struct.pack('>BBc30I6I4I4I4I4c2I2c6',
  version, flags, middle, rotated_at, signed_in, idle, absolute, 0, client, debt, tail))
return observed(1, now, record, user, thumbprint)
