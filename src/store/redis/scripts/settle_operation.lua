-- Says whether an operation was carried out on a user. If not, it never is: a script that is still on its way is refused.
-- Runs behind `operated.lua`.
--
-- KEYS    1 the user
-- ARGV    1 id of the operation, 16 bytes
-- Reply   1 if it was carried out, else 0
-- Takes   O(1). May run when the server is out of memory: a full store must not stop a revocation. Always writes something,
--         so that replicas can be asked after what was found.
if is_listed(KEYS[1], 'operations', ARGV[1]) then
  redis.call('HSET', KEYS[1], 'operations', redis.call('HGET', KEYS[1], 'operations'))
  return 1
end
list(KEYS[1], 'fenced', ARGV[1])
-- What is kept of a user who is not there goes after a day.
if redis.call('HEXISTS', KEYS[1], 'name') == 0 and redis.call('PTTL', KEYS[1]) == -1 then
  redis.call('PEXPIRE', KEYS[1], 86400000)
end
return 0
