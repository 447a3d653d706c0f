-- Frees a claimed key whose request provably never reached the backend.
--
-- KEYS[1]  the record (see claim.lua)
-- ARGV     token
-- returns  {token, result}: done | gone | foreign | settled
local record = redis.call('HMGET', KEYS[1], 's', 't')
if not record[1] then
  return {ARGV[1], 'gone'}
end
if record[2] ~= ARGV[1] then
  return {ARGV[1], 'foreign'}
end
if record[1] ~= 'c' then
  return {ARGV[1], 'settled'}
end
redis.call('DEL', KEYS[1])
return {ARGV[1], 'done'}
