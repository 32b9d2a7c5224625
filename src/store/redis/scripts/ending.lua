-- Shared by the scripts that end sessions of one user, whatever state they are in: `domain::revocation::end` on packed
-- records. The first end of a session is final.
--
-- now       time, ms
-- sessions  key of the user's sessions
-- details   key of the details of the user's sessions
-- histories key of their histories
-- how       1 scope: one, all_but, all or client
--           2 of the scope: session id, 16 bytes; nothing for all; client number, 2 bytes
--           3 reason byte  4 1 if there is a note  5 the note  6 1 if the caller waits for replicas
--           7 only sessions that began before this, ms; empty or left out for whenever they began
-- Returns   number of records covered, ids of the live sessions that ended, ids and records in turn of all that are dead now
-- Takes     O(n) of the user's sessions; O(1) for one. Of sizes only notes grow.
local function end_sessions(now, sessions, details, histories, how)
  local byte, char, sub = string.byte, string.char, string.sub
  local scope, named, reason, has_note, note, synced = unpack(how, 1, 6)
  local before = tonumber(how[7])
  local ended_at = struct.pack('>I4', math.min(math.floor(now / 1000), 4294967295))

  local found, ended, dead = nil, {}, {}
  if scope == 'one' then
    local record = redis.call('HGET', sessions, named)
    found = record and { named, record } or {}
  else
    found = redis.call('HGETALL', sessions)
  end

  -- `store::EndStep::covers`: what the record would have to tell counts as no if it cannot be read. When a session began
  -- is told by its id.
  local function covers(sid, record, readable)
    if before and (#sid ~= 16 or struct.unpack('>I6', sid) >= before) then return false end
    if scope == 'client' then return readable and sub(record, 55, 56) == named end
    return scope ~= 'all_but' or sid ~= named
  end

  -- A revocation must hold for what cannot be read, too: another version might read it as live one day. Such a record
  -- goes, and its session is unknown from then on. It may have been live, so it counts as ended.
  local function remove(sid)
    if #sid == 16 then ended[#ended + 1] = sid end
    redis.call('HDEL', sessions, sid)
    redis.call('HDEL', details, 'd' .. sid, 't' .. sid, 'n' .. sid)
    redis.call('HDEL', histories, sid)
  end

  local function finish(sid, record)
    local tombstone = table.concat({
      sub(record, 1, 1),
      char(byte(record, 2) + 1, tonumber(reason)),
      sub(record, 4, 50),
      ended_at,
      sub(record, 55, 62),
      '\0\0',
    })
    redis.call('HSET', sessions, sid, tombstone)
    if has_note == '1' then redis.call('HSET', details, 'n' .. sid, note) end
    return tombstone
  end

  local covered, wrote = 0, false
  local unchanged_id, unchanged_record
  for i = 1, #found, 2 do
    local sid, record = found[i], found[i + 1]
    local readable = #record == 64 and byte(record, 1) == 1
    if covers(sid, record, readable) then
      covered = covered + 1
      if not readable then
        remove(sid)
        wrote = true
      elseif byte(record, 2) % 2 == 1 then
        unchanged_id, unchanged_record = sid, record
        dead[#dead + 1], dead[#dead + 2] = sid, record
      else
        local idle, absolute = struct.unpack('>I4I4', record, 43)
        dead[#dead + 1], dead[#dead + 2] = sid, finish(sid, record)
        wrote = true
        if now < idle * 1000 and now < absolute * 1000 then ended[#ended + 1] = sid end
      end
    end
  end

  -- `WAIT` asks after the writes of its own connection only. A revocation that is repeated because its durability was
  -- unknown must have one to ask after, or the repetition would vouch for what it has not seen.
  if synced == '1' and not wrote and unchanged_id then
    redis.call('HSET', sessions, unchanged_id, unchanged_record)
  end

  if wrote and has_note == '1' and redis.call('PTTL', details) == -1 then
    local lifetime = redis.call('PTTL', sessions)
    if lifetime > 0 then redis.call('PEXPIRE', details, lifetime) end
  end
  return covered, ended, dead
end

