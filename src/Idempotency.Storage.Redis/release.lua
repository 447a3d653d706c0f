-- Frees a claimed key whose request provably never reached the backend.
--
-- KEYS     the record, the open ones (see record.lua), if there is a probe
-- ARGV     token, attempt
-- returns  {token, result}: done | gone | foreign | taken-over | settled
local open_key = KEYS[2]
--- record.lua
local record = redis.call('HMGET', KEYS[1], 's', 't', 'n', 'p', 'w', 'l')
local refused = refusal(record, ARGV[2])
if refused then
  return {ARGV[1], refused}
end
if record[2] ~= ARGV[1] then
  return {ARGV[1], 'gone'}
end
if record[1] ~= 'c' and record[1] ~= 'o' then
  return {ARGV[1], 'settled'}
end
if record[5] then
  announce(record[5])
end
if record[3] then
  -- An earlier attempt may have been executed: what was taken over as uncertain is uncertain again.
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', KEYS[1], 's', 'u', 'l', string.format('%.0f', math.min(tonumber(record[6]), now)))
  if record[4] then
    open(0)
  end
else
  if record[4] then
    close()
  end
  redis.call('DEL', KEYS[1])
end
return {ARGV[1], 'done'}
