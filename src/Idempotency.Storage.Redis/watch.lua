-- Tells what is on record without claiming it; the next end of a claim in progress is announced.
--
-- KEYS     the record
-- ARGV     token, channel (empty: nothing is announced)
-- returns  as claim.lua does, or {token, 'absent'}
local record = redis.call('HMGET', KEYS[1], 's', 'f', 'l', 'a', 'n', 'w')
if not record[1] or record[1] == 'x' then
  return {ARGV[1], 'absent'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local attempt = tonumber(record[5] or 1)
if record[1] == 'a' then
  return {ARGV[1], 'settled', now, attempt, record[2], redis.call('PTTL', KEYS[1]), record[4]}
end
local rest = record[3] - now
if (record[1] == 'c' or record[1] == 'o') and rest > 0 then
  if not record[6] and ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], 's', 'o', 'w', ARGV[2])
  end
  return {ARGV[1], 'in-progress', now, attempt, record[2], rest}
end
return {ARGV[1], 'uncertain', now, attempt, record[2], -rest}
