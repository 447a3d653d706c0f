-- Restarts the lease of a claim whose owner still works on it, or writes a claim back that the store lost.
--
-- KEYS     the record, the open ones (see record.lua), if there is a probe
-- ARGV     token, fingerprint, lease ms, retention ms, not-after (store time in ms), attempt, probe (or empty)
-- returns  {token, result}: done | recreated | foreign | taken-over | settled | late
local open_key = KEYS[2]
--- record.lua
local record = redis.call('HMGET', KEYS[1], 's', 't', 'n', 'p')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local refused = refusal(record, ARGV[6])
if refused then
  return {ARGV[1], refused}
end
local is_lost = record[2] ~= ARGV[1]
local probe = record[4]
if not is_lost then
  if record[1] ~= 'c' and record[1] ~= 'o' then
    return {ARGV[1], 'settled'}
  end
elseif now > tonumber(ARGV[5]) then
  -- Delivered late by a healed link: the claim may have been released since, and must not come back.
  return {ARGV[1], 'late'}
end
redis.call('HSET', KEYS[1], 's', is_lost and 'o' or record[1], 't', ARGV[1], 'f', ARGV[2], 'l', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if is_lost then
  if tonumber(ARGV[6]) > 1 then
    redis.call('HSET', KEYS[1], 'n', ARGV[6])
  end
  if not probe and ARGV[7] ~= '' then
    probe = ARGV[7]
    redis.call('HSET', KEYS[1], 'p', probe)
  end
end
if probe then
  open(now + ARGV[3])
end
return {ARGV[1], is_lost and 'recreated' or 'done'}
