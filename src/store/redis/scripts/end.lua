#!lua flags=allow-oom
-- Ends sessions of one user, whatever state they are in: `domain::revocation::end` on packed records. The first end
-- of a session is final.
--
-- KEYS    1 the user's sessions  2 details of the user's sessions
-- ARGV    1 scope: one, all_but or all  2 session id of the scope, 16 bytes, empty for all
--         3 reason byte                 4 1 if there is a note  5 the note
--         6 1 if the caller waits for replicas
--         7 time, ms; empty for the server's own
-- Reply   time used in ms, number of records covered, ids of the live sessions that ended
-- Takes   O(n) of the user's sessions; O(1) for one. May run when the server is out of memory: a full store must not
--         stop a revocation.
local byte, char, sub, floor = string.byte, string.char, string.sub, math.floor

local now = tonumber(ARGV[7])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end
local ended_at = struct.pack('>I4', math.min(floor(now / 1000), 4294967295))
local scope, named = ARGV[1], ARGV[2]

local found, ended = nil, {}
if scope == 'one' then
  local record = redis.call('HGET', KEYS[1], named)
  found = record and { named, record } or {}
else
  found = redis.call('HGETALL', KEYS[1])
end

-- A revocation must hold for what cannot be read, too: another version might read it as live one day. Such a record
-- goes, and its session is unknown from then on. It may have been live, so it counts as ended.
local function remove(sid)
  if #sid == 16 then ended[#ended + 1] = sid end
  redis.call('HDEL', KEYS[1], sid)
  redis.call('HDEL', KEYS[2], 'd' .. sid, 't' .. sid, 'n' .. sid)
end

local function finish(sid, record)
  redis.call('HSET', KEYS[1], sid, table.concat({
    sub(record, 1, 1),
    char(byte(record, 2) + 1, tonumber(ARGV[3])),
    sub(record, 4, 50),
    ended_at,
    sub(record, 55, 62),
    '\0\0',
  }))
  if ARGV[4] == '1' then redis.call('HSET', KEYS[2], 'n' .. sid, ARGV[5]) end
end

local covered, wrote = 0, false
local unchanged_id, unchanged_record
for i = 1, #found, 2 do
  local sid, record = found[i], found[i + 1]
  if scope ~= 'all_but' or sid ~= named then
    covered = covered + 1
    if #record ~= 64 or byte(record, 1) ~= 1 then
      remove(sid)
      wrote = true
    elseif byte(record, 2) % 2 == 1 then
      unchanged_id, unchanged_record = sid, record
    else
      local idle, absolute = struct.unpack('>I4I4', record, 43)
      finish(sid, record)
      wrote = true
      if now < idle * 1000 and now < absolute * 1000 then ended[#ended + 1] = sid end
    end
  end
end

-- `WAIT` asks after the writes of its own connection only. A revocation that is repeated because its durability was
-- unknown must have one to ask after, or the repetition would vouch for what it has not seen.
if ARGV[6] == '1' and not wrote and unchanged_id then
  redis.call('HSET', KEYS[1], unchanged_id, unchanged_record)
end

if wrote and ARGV[4] == '1' and redis.call('PTTL', KEYS[2]) == -1 then
  local lifetime = redis.call('PTTL', KEYS[1])
  if lifetime > 0 then redis.call('PEXPIRE', KEYS[2], lifetime) end
end
return { now, covered, ended }
