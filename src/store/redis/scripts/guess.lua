#!lua
-- Counts a try, if it need not wait. The rule is `relatch_domain::guesses`.
--
-- KEYS    1 the guesses of one guesser
-- ARGV    1 after how long a failure is forgotten, ms   2 how many are free
--         3 the first wait, ms   4 the longest wait, ms
--         5 time, ms; empty for the server's own
-- Reply   0 if it is counted, else how long it has to wait, ms; the time; when the one before was counted, ms
-- Keeps   when all will be forgotten and when the last try was, ms; expires at the former.
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local interval, free, first, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local kept = redis.call('GET', KEYS[1])
local till, last = string.match(kept or '', '^(%d+) (%d+)$')
till, last = tonumber(till) or now, tonumber(last) or 0
-- Counted by a clock ahead: as if it had been now.
local ahead = last > now
if ahead then till, last = till - (last - now), now end
if till <= now then till, last = now, 0 end

local function keep()
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', till, last), 'PX', string.format('%.0f', till - now))
end

local above = math.ceil((till - now) / interval) - free
if above >= 0 then
  local wait = math.min(first * 2 ^ math.min(above, 31), longest)
  if last + wait > now then
    if ahead then keep() end
    return { last + wait - now, now, last }
  end
end
local before = last
till, last = till + interval, now
keep()
return { 0, now, before }
