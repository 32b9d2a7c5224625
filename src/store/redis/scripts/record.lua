#!lua flags=allow-oom
-- One write to the journal: opens or closes an operation, adds entries to the log of revocations and audit records.
--
-- KEYS    1 the log  2 the subjects that have a live entry there  3 the open operations
--         4 how long access tokens live, by what nodes said of late  5 the audit trail
-- ARGV    1 time, ms; empty for the server's own
--         2 how long the longest-lived access token of this node lives and more, ms  3 how many audit records are kept
--         4 id of the operation to open, empty for none  5 what is kept of it
--         6 id of the operation to close, empty for none
--         7 number of entries, then each as its line, its subject and its audit record, empty for none
--         then audit records
-- Reply   time in ms; until when the entries stay, ms; 1 if the operation to close was open, else 0
-- Takes   O(n) of what is added and of what has become too old. May run when the server is out of memory: a full store
--         must not stop a revocation. Always writes something, so that a repetition has a write of its own to ask the
--         replicas after.
local call = redis.call
local log, subjects, operations, lifetimes, audit = unpack(KEYS)

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end

-- A lifetime counts until the last token that was issued with it has expired.
call('HSET', lifetimes, ARGV[2], text(now))
local longest = 0
local said = call('HGETALL', lifetimes)
for i = 1, #said, 2 do
  local lifetime, at = tonumber(said[i]), tonumber(said[i + 1])
  if not (lifetime and at) or at + lifetime <= now then
    call('HDEL', lifetimes, said[i])
  else
    longest = math.max(longest, lifetime)
  end
end
local stays = text(now + longest)

-- What is too old goes, from the front: some at each write, so that none takes long.
for _, entry in ipairs(call('XRANGE', log, '-', '+', 'COUNT', 64)) do
  if (tonumber(entry[2][4] or '') or 0) > now then break end
  call('XDEL', log, entry[1])
  if entry[2][6] then call('HDEL', subjects, entry[2][6]) end
end

-- What fails midway (a key of another type, a command that is forbidden) leaves nothing behind that would keep a
-- repetition from adding what is missing: records come first, marks last.
local function keep(record) call('XADD', audit, 'MAXLEN', '~', ARGV[3], '*', 'r', record) end
local last = 7 + tonumber(ARGV[7]) * 3
for i = 8, last, 3 do
  local line, subject, record = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if call('HEXISTS', subjects, subject) == 0 then
    if record ~= '' then keep(record) end
    call('XADD', log, '*', 'r', line, 'u', stays, 's', subject, 'a', record)
    call('HSET', subjects, subject, '')
  end
end
local closed = 0
if ARGV[6] ~= '' then closed = call('HEXISTS', operations, ARGV[6]) end
if ARGV[6] == '' or closed == 1 then
  for i = last + 1, #ARGV do keep(ARGV[i]) end
end
if closed == 1 then call('HDEL', operations, ARGV[6]) end
if ARGV[4] ~= '' and call('HEXISTS', operations, ARGV[4]) == 0 then
  call('HSET', operations, ARGV[4], text(now) .. ' ' .. ARGV[5])
end
return { now, stays, closed }
