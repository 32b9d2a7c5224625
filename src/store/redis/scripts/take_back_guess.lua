#!lua flags=allow-oom
-- Takes a counted try back: it was none. The rule is `relatch_domain::guesses`.
--
-- KEYS    1 the guesses of one guesser
-- ARGV    1 after how long a failure is forgotten, ms
--         2 when this one was counted, ms   3 when the one before was
--         4 time, ms; empty for the server's own
-- Reply   0
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local till, last = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
if not till then return 0 end
local is_last = last == ARGV[2]
till, last = tonumber(till), tonumber(last)
-- Counted by a clock ahead: as if it had been now.
if last > now then till, last = till - (last - now), now end
if is_last then last = math.min(last, tonumber(ARGV[3])) end
till = till - tonumber(ARGV[1])
if till > now then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', till, last), 'PX', string.format('%.0f', till - now))
else
  redis.call('DEL', KEYS[1])
end
return 0
