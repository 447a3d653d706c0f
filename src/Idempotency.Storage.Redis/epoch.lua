-- Tells the epoch of a bucket, which changes when the server may have lost what it acknowledged: when there is none (everything was deleted), when
-- it belongs to another run of the server (a restart, a failover), and when the caller knows a later one (a server that never heard of it took over).
-- Who has put back what was lost claims with the new epoch; everybody else's claims are refused until he has.
--
-- KEYS     the bucket's marks, a hash that never expires: e epoch, r the run of the server that it belongs to, s a copy of the shared secret
-- ARGV     token, the epoch that the caller knows (or empty), the server's run, 1 if the caller knows this run (another one's mark came here with its
--          slot then, and nothing was lost) or 0, random text, the secret (or empty)
-- returns  {token, epoch, store time in ms, the secret (or empty)}; an epoch is <number>-<store time in ms>-<r: another run, e: empty>-<random>
local function number(epoch)
  return tonumber(string.match(epoch or '', '^%d+') or 0)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local marks = redis.call('HMGET', KEYS[1], 'e', 'r', 's')
local epoch = marks[1]
local is_foreign = marks[2] ~= ARGV[3]
local is_old = epoch and ARGV[2] ~= '' and epoch ~= ARGV[2] and number(epoch) <= number(ARGV[2])
if not epoch or is_old or (is_foreign and ARGV[4] ~= '1') then
  epoch = string.format('%.0f-%.0f-', math.max(number(epoch), number(ARGV[2])) + 1, now) .. (epoch and 'r-' or 'e-') .. ARGV[5]
  redis.call('HSET', KEYS[1], 'e', epoch)
end
if is_foreign then
  redis.call('HSET', KEYS[1], 'r', ARGV[3])
end
if ARGV[6] ~= '' and marks[3] ~= ARGV[6] then
  redis.call('HSET', KEYS[1], 's', ARGV[6])
end
return {ARGV[1], epoch, now, ARGV[6] ~= '' and ARGV[6] or marks[3] or ''}
