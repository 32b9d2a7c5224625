#!lua
-- Adds a line to a session's history. The rule is `store::histories`.
--
-- KEYS    1 the user's sessions  2 their histories
-- ARGV    1 session id, 16 bytes       2 the line
--         3 how many lines are kept of a session  4 how many bytes are kept of all sessions of the user
-- Reply   1, or 0 if there is no such session and nothing was written
-- Takes   O(n) of the lines that are kept of the session. O(n) of the user's sessions too, if the histories have come to more
--         bytes than are kept: not again until as many were written as half the longest history had.
local limit = tonumber(ARGV[4])
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end

local kept = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local history = kept == '' and ARGV[2] or kept .. '\n' .. ARGV[2]
local _, breaks = string.gsub(history, '\n', '')
for _ = 1, breaks + 1 - tonumber(ARGV[3]) do
  history = string.sub(history, string.find(history, '\n', 1, true) + 1)
end
redis.call('HSET', KEYS[2], ARGV[1], history)

local function later_half(text)
  local at = string.find(text, '\n', math.ceil(#text / 2), true)
  return at and string.sub(text, at + 1) or ''
end

-- By their bytes: how Lua compares strings depends on the server's locale.
local function is_before(sid, other)
  for i = 1, 16 do
    local own, others = string.byte(sid, i), string.byte(other, i)
    if own ~= others then return own < others end
  end
  return false
end

local function measured()
  local lengths, sum = {}, 0
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    if #field == 16 then
      lengths[field] = redis.call('HSTRLEN', KEYS[2], field)
      sum = sum + lengths[field]
    end
  end
  return lengths, sum
end

local function longest(lengths)
  local found
  for sid, length in pairs(lengths) do
    local most = lengths[found or sid]
    if not found or length > most or (length == most and is_before(sid, found)) then found = sid end
  end
  return found
end

-- Never less than what they take up. More if a session was forgotten since, missing if they are a copy of another store's.
local bytes = tonumber(redis.call('HGET', KEYS[2], 'bytes') or '') or math.huge
bytes = bytes + #history - #kept
if bytes > limit then
  local lengths
  lengths, bytes = measured()
  while bytes > limit do
    local sid = longest(lengths)
    local half = later_half(redis.call('HGET', KEYS[2], sid))
    if half == '' then redis.call('HDEL', KEYS[2], sid) else redis.call('HSET', KEYS[2], sid, half) end
    bytes = bytes - lengths[sid] + #half
    lengths[sid] = #half
  end
end
redis.call('HSET', KEYS[2], 'bytes', string.format('%.0f', bytes))

if redis.call('PTTL', KEYS[2]) == -1 then
  local lifetime = redis.call('PTTL', KEYS[1])
  if lifetime > 0 then redis.call('PEXPIRE', KEYS[2], lifetime) end
end
return 1
