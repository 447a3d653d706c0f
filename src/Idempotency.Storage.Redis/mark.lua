-- Writes to the bucket's marks, so that a WAIT that follows on the same connection waits for all that the server wrote before.
--
-- KEYS     the bucket's marks (see epoch.lua)
-- ARGV     token, any text
-- returns  {token, 'done'}
redis.call('HSET', KEYS[1], 'w', ARGV[2])
return {ARGV[1], 'done'}
