-- Compare and set of one session record: the least that a rotation can ask of Redis. No guards, no policy.
-- KEYS[1]  hash of one user's sessions
-- ARGV[1]  session id, 16 bytes
-- ARGV[2]  generation and nonce that were presented, 12 bytes
-- ARGV[3]  generation and nonce to come, 12 bytes
-- ARGV[4]  attempt hash (8 bytes, zero for none) and time of the rotation (6)
-- ARGV[5]  idle deadline, 4 bytes
-- Reply: the record as it was, 64 bytes; nil if the session is unknown or the token is not its current one.
-- The layout is that of relatch_domain::record. O(1), but for the listpack's linear scan.
local seen = redis.call('HGET', KEYS[1], ARGV[1])
if not seen or string.sub(seen, 5, 16) ~= ARGV[2] then
  return false
end
local new = string.sub(seen, 1, 4) .. ARGV[3] .. string.sub(seen, 9, 16) .. ARGV[4]
  .. string.sub(seen, 39, 42) .. ARGV[5] .. string.sub(seen, 47, 64)
redis.call('HSET', KEYS[1], ARGV[1], new)
return seen
