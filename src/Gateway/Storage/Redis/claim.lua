-- Claims a key, or tells what is on record.
--
-- KEYS[1]  the record, a hash:
--            s  state: c claimed, u uncertain, a answered (settled)
--            t  token of the owner
--            f  fingerprint
--            l  end of the lease, store time in ms
--            a  the answer (RecordFormat), when settled
--          Its expiry is the retention.
-- ARGV     token, fingerprint, lease ms, retention ms, not-after (store time in ms)
-- returns  {token, what is there, store time in ms, fingerprint, rest of the lease in ms, answer}; see RedisStore.ToClaimResult.
--          The token shows the caller that the reply is its own.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', KEYS[1], 's', 't', 'f', 'l', 'a')
local state = record[1]
if not state then
  -- A claim that a healed link delivers late must not take effect: its caller was told that the store is down.
  if now > tonumber(ARGV[5]) then
    return {ARGV[1], 'late', now}
  end
  redis.call('HSET', KEYS[1], 's', 'c', 't', ARGV[1], 'f', ARGV[2], 'l', string.format('%.0f', now + ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {ARGV[1], 'claimed', now}
end
if state == 'a' then
  return {ARGV[1], 'settled', now, record[3], 0, record[5]}
end
if state == 'c' then
  if record[2] == ARGV[1] then
    return {ARGV[1], 'claimed', now}
  end
  local rest = record[4] - now
  if rest > 0 then
    return {ARGV[1], 'in-progress', now, record[3], rest}
  end
end
return {ARGV[1], 'uncertain', now, record[3]}
