-- Restarts the lease of a claim whose owner still works on it, or writes a claim back that the store lost.
--
-- KEYS[1]  the record (see claim.lua)
-- ARGV     token, fingerprint, lease ms, retention ms, not-after (store time in ms)
-- returns  {token, result}: done | recreated | foreign | settled | late
local record = redis.call('HMGET', KEYS[1], 's', 't')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if record[1] then
  if record[2] ~= ARGV[1] then
    return {ARGV[1], 'foreign'}
  end
  if record[1] ~= 'c' then
    return {ARGV[1], 'settled'}
  end
elseif now > tonumber(ARGV[5]) then
  -- Delivered late by a healed link: the claim may have been released since, and must not come back.
  return {ARGV[1], 'late'}
end
redis.call('HSET', KEYS[1], 's', 'c', 't', ARGV[1], 'f', ARGV[2], 'l', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {ARGV[1], record[1] and 'done' or 'recreated'}
