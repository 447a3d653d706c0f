-- Ends a claim: settled with an answer, or uncertain. Only the owner may; repeating it changes nothing.
--
-- KEYS[1]  the record (see claim.lua)
-- ARGV     token, fingerprint, retention ms, new state (a or u), answer (empty for u)
-- returns  {token, result}: done | recreated | foreign | settled
local record = redis.call('HMGET', KEYS[1], 's', 't')
if not record[1] then
  -- The store lost the claim, its owner knows better: put it back.
  redis.call('HSET', KEYS[1], 's', ARGV[4], 't', ARGV[1], 'f', ARGV[2], 'l', '0', 'a', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {ARGV[1], 'recreated'}
end
if record[2] ~= ARGV[1] then
  return {ARGV[1], 'foreign'}
end
if record[1] == 'a' then
  return {ARGV[1], ARGV[4] == 'a' and 'done' or 'settled'}
end
-- The retention counts from the claim: settling does not move it.
redis.call('HSET', KEYS[1], 's', ARGV[4], 'a', ARGV[5])
return {ARGV[1], 'done'}
