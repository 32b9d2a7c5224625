-- Ends sessions of one user. Runs behind `ending.lua`.
--
-- KEYS    1 the user's sessions  2 the user  3 details of the user's sessions  4 their histories
-- ARGV    1 time, ms; empty for the server's own
--         2 to 8 which sessions end and how, see `ending.lua`
-- Reply   time used in ms, number of records covered, ids of the live sessions that ended, ids and records in turn of all
--         covered ones that are dead now
-- Takes   O(n) of the user's sessions; O(1) for one. May run when the server is out of memory: a full store must not
--         stop a revocation.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

return { now, end_sessions(now, KEYS[1], KEYS[3], KEYS[4], { unpack(ARGV, 2, 8) }) }
