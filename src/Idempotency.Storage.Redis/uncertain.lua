-- Reads an open record, if it is uncertain; it moves to the end of its bucket, or out of it when it is gone.
--
-- KEYS     the record, the open ones (see record.lua)
-- ARGV     token
-- returns  {token, 'uncertain', store time in ms, attempt, fingerprint, rest of the retention in ms, probe} | {token, 'not'}
local open_key = KEYS[2]
--- record.lua
local record = redis.call('HMGET', KEYS[1], 's', 'f', 'l', 'n', 'p')
if not record[5] then
  redis.call('ZREM', KEYS[2], id())
  return {ARGV[1], 'not'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if (record[1] == 'c' or record[1] == 'o') and record[3] - now > 0 then
  redis.call('ZADD', KEYS[2], record[3], id()) -- taken over or renewed by a caller that could not say so here
  return {ARGV[1], 'not'}
end
redis.call('ZADD', KEYS[2], string.format('%.0f', now), id())
return {ARGV[1], 'uncertain', now, tonumber(record[4] or 1), record[2], redis.call('PTTL', KEYS[1]), record[5]}
