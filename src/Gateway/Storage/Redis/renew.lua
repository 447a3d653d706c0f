-- Restarts the lease of a claim whose owner still works on it.
--
-- KEYS[1]  the record (see claim.lua)
-- ARGV     token, fingerprint, lease ms, retention ms
-- returns  done | recreated | foreign | settled
local record = redis.call('HMGET', KEYS[1], 's', 't')
if record[1] then
  if record[2] ~= ARGV[1] then
    return 'foreign'
  end
  if record[1] ~= 'c' then
    return 'settled'
  end
end
local time = redis.call('TIME')
local lease = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3])
redis.call('HSET', KEYS[1], 's', 'c', 't', ARGV[1], 'f', ARGV[2], 'l', lease)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return record[1] and 'done' or 'recreated'
