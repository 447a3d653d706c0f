-- Lists the records of a bucket that are uncertain by their time; those that were looked at least recently come first.
--
-- KEYS     the bucket's open records (see record.lua)
-- ARGV     token, how many at most
-- returns  {token, ids}
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return {ARGV[1], redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])}
