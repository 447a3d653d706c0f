-- Ends a claim: settled with an answer, or uncertain. Only the owner may; repeating it changes nothing.
--
-- KEYS     the record, the open ones (see record.lua), if there is a probe
-- ARGV     token, fingerprint, retention ms, new state (a or u), answer (empty for u), attempt, probe (or empty)
-- returns  {token, result}: done | recreated | foreign | taken-over | settled
local record = redis.call('HMGET', KEYS[1], 's', 't')
if record[1] == 'c' and record[2] == ARGV[1] and ARGV[4] == 'a' then
  -- The retention counts from the claim: settling does not move it.
  redis.call('HSET', KEYS[1], 's', ARGV[4], 'a', ARGV[5])
  return {ARGV[1], 'done'}
end
local open_key = KEYS[2]
--- record.lua
record = redis.call('HMGET', KEYS[1], 's', 't', 'n', 'p', 'w', 'l')
local refused = refusal(record, ARGV[6])
if refused then
  return {ARGV[1], refused}
end
local result = 'done'
local probe = record[4]
if record[2] ~= ARGV[1] then
  -- The store lost the claim, its owner knows better: put it back.
  result = 'recreated'
  probe = probe or (ARGV[7] ~= '' and ARGV[7])
  redis.call('HSET', KEYS[1], 's', ARGV[4], 't', ARGV[1], 'f', ARGV[2], 'l', '0', 'a', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  if tonumber(ARGV[6]) > 1 then
    redis.call('HSET', KEYS[1], 'n', ARGV[6])
  end
elseif record[1] == 'a' then
  return {ARGV[1], ARGV[4] == 'a' and 'done' or 'settled'}
else
  redis.call('HSET', KEYS[1], 's', ARGV[4], 'a', ARGV[5])
end
if ARGV[4] == 'u' then
  -- Nothing of it is sent from now on: its age counts from here, or from the end of its lease if that was before.
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', KEYS[1], 'l', string.format('%.0f', math.min(result == 'done' and tonumber(record[6]) or now, now)))
end
if probe then
  if ARGV[4] == 'a' then
    close()
  else
    redis.call('HSET', KEYS[1], 'p', probe)
    open(0)
  end
end
if record[5] then
  announce(record[5])
end
return {ARGV[1], result}
