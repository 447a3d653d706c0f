-- Deletes a settled or uncertain record for an operator, and keeps late writes of its owner out.
--
-- KEYS     the record
-- ARGV     token, not-after (store time in ms), how long its owner is kept out in ms, channel
-- returns  {token, result}: done | refused | late (and store time in ms)
local open_key = KEYS[2]
--- record.lua
local record = redis.call('HMGET', KEYS[1], 's', 't', 'l', 'n', 'p', 'w')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not record[1] or record[1] == 'x' or ((record[1] == 'c' or record[1] == 'o') and record[3] - now > 0) then
  return {ARGV[1], 'refused'}
end
-- What an operator was told to have failed must not delete a later record.
if now > tonumber(ARGV[2]) then
  return {ARGV[1], 'late', now}
end
if record[5] then
  close()
end
if record[6] then
  announce(record[6])
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 's', 'x', 't', record[2])
if record[4] then
  redis.call('HSET', KEYS[1], 'n', record[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.pcall('PUBLISH', ARGV[4], id())
return {ARGV[1], 'done'}
