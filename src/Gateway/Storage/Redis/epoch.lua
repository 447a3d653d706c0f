-- Tells the epoch of a bucket, which changes when the server may have lost what it acknowledged: a new one where there is none (everything was
-- deleted), and where the caller knows that the server was restarted or replaced and nobody has changed it yet. Who has put back what was lost
-- claims with the new epoch; everybody else's claims are refused until he has.
--
-- KEYS     the bucket's marks, a hash that never expires: e epoch, s a copy of the shared secret
-- ARGV     token, the epoch that the caller knows (or empty), 1 if it must change (or 0), random text, the secret (or empty)
-- returns  {token, epoch, store time in ms, the secret (or empty)}; an epoch is <store time in ms>-<r: restarted, e: empty>-<random>
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local marks = redis.call('HMGET', KEYS[1], 'e', 's')
local epoch = marks[1]
if not epoch or (ARGV[3] == '1' and epoch == ARGV[2]) then
  epoch = string.format('%.0f', now) .. (epoch and '-r-' or '-e-') .. ARGV[4]
  redis.call('HSET', KEYS[1], 'e', epoch)
end
if ARGV[5] ~= '' and marks[2] ~= ARGV[5] then
  redis.call('HSET', KEYS[1], 's', ARGV[5])
end
return {ARGV[1], epoch, now, ARGV[5] ~= '' and ARGV[5] or marks[2] or ''}
