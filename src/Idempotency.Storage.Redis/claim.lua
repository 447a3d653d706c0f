-- Claims a key, takes an uncertain one over, or tells what is on record.
--
-- The text that a server is given ends with that server's identity (RedisScript.For): a server that was not looked at does not know it.
--
-- KEYS     the record, the bucket's marks (see epoch.lua), the open ones (see record.lua), if there is a probe
-- ARGV     token, fingerprint, lease ms, retention ms, not-after (store time in ms), attempt to take over (or 0), probe (or empty), epoch
-- returns  {token, what is there, store time in ms, attempt, fingerprint, rest of the lease (settled: of the retention; uncertain: how long it has been so) in ms, answer}; see RedisReply.ToClaimResult
local open_key = KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', KEYS[1], 's', 't', 'f', 'l', 'a', 'n')
local state = record[1] ~= 'x' and record[1]
-- Also of a forgotten record: its attempt goes on, so that no late owner of it is ahead of the new one.
local attempt = tonumber(record[6] or 1)
if not state then
  -- A claim that a healed link delivers late must not take effect: its caller was told that the store is down.
  if now > tonumber(ARGV[5]) then
    return {ARGV[1], 'late', now}
  end
  -- Absent from a server that lost what it acknowledged means nothing.
  if redis.call('HGET', KEYS[2], 'e') ~= ARGV[8] then
    return {ARGV[1], 'epoch', now}
  end
  if record[1] then
    redis.call('DEL', KEYS[1])
  end
  redis.call('HSET', KEYS[1], 's', 'c', 't', ARGV[1], 'f', ARGV[2], 'l', string.format('%.0f', now + ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  if attempt > 1 then
    redis.call('HSET', KEYS[1], 's', 'o', 'n', attempt)
  end
  if ARGV[7] == '' then
    return {ARGV[1], 'claimed', now, attempt}
  end
end
--- record.lua
if not state then
  redis.call('HSET', KEYS[1], 's', 'o', 'p', ARGV[7])
  open(now + ARGV[3])
  return {ARGV[1], 'claimed', now, attempt}
end
if state == 'a' then
  return {ARGV[1], 'settled', now, attempt, record[3], redis.call('PTTL', KEYS[1]), record[5]}
end
if state == 'c' or state == 'o' then
  if record[2] == ARGV[1] then
    return {ARGV[1], 'claimed', now, attempt}
  end
  local rest = record[4] - now
  -- A lock (its retention is its lease) is never uncertain: it expires this very moment.
  if rest > 0 or ARGV[3] == ARGV[4] then
    return {ARGV[1], 'in-progress', now, attempt, record[3], math.max(rest, 1)}
  end
end
if attempt ~= tonumber(ARGV[6]) or record[3] ~= ARGV[2] then
  return {ARGV[1], 'uncertain', now, attempt, record[3], now - record[4]}
end
if now > tonumber(ARGV[5]) then
  return {ARGV[1], 'late', now}
end
if redis.call('HGET', KEYS[2], 'e') ~= ARGV[8] then
  return {ARGV[1], 'epoch', now}
end
redis.call('HSET', KEYS[1], 's', 'o', 't', ARGV[1], 'l', string.format('%.0f', now + ARGV[3]), 'n', attempt + 1)
-- The retention goes on, but the record must outlive its claim.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if redis.call('HEXISTS', KEYS[1], 'p') == 1 then
  open(now + ARGV[3])
end
return {ARGV[1], 'claimed', now, attempt + 1}
