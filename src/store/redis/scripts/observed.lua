-- How a script tells what it saw of a session and its user: one string, which costs less than a list on both sides.
--
-- byte     1  applied 1, there is a record 2, there is a user 4, there is a thumbprint 8, added up
-- bytes 2-9   time used, ms      10-13  length of the record     14-17  length of the thumbprint
-- then        record, thumbprint, and the user's name, roles, disabled flag and attributes, with a zero byte behind each
-- Numbers are big-endian. None of the four texts can hold a zero byte; one that does makes the answer unreadable.
local function observed(applied, now, record, user, thumbprint)
  local what = applied
  if record then what = what + 2 else record = '' end
  if user[1] then what = what + 4 end
  if thumbprint then what = what + 8 else thumbprint = '' end
  return struct.pack('>BI8I4I4', what, now, #record, #thumbprint) .. record .. thumbprint
    .. struct.pack('ssss', user[1] or '', user[2] or '', user[3] or '', user[4] or '{}')
end
