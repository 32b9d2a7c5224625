-- Shared by the scripts that are a part of an operation: notes in the user that it is carried out, so that any node
-- can tell, and refuses one that another node has given up. The latest ones are kept, many more than can be open at the
-- same time.
--
-- user      key of the user
-- id        the operation's, 16 bytes; empty for none
-- Takes     O(1).
local function is_listed(user, field, id)
  local ids = redis.call('HGET', user, field) or ''
  for at = 1, #ids, 16 do
    if string.sub(ids, at, at + 15) == id then return true end
  end
  return false
end

local function list(user, field, id)
  redis.call('HSET', user, field, string.sub((redis.call('HGET', user, field) or '') .. id, -512))
end

-- What a script replies whose operation another node has given up: nothing was written.
local GIVEN_UP = 2

local function is_given_up(user, id) return id ~= '' and is_listed(user, 'fenced', id) end

local function note_operation(user, id)
  if id ~= '' then list(user, 'operations', id) end
end

