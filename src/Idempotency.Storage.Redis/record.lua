-- What the scripts of a record share; it takes the place of the line '--- record.lua' in each. What comes before that line is the usual case.
--
-- KEYS[1]  the record, a hash:
--            s  state: c claimed, o claimed with n, p or w beside, u uncertain, a answered (settled), x forgotten (reads as absent, but keeps its owner's late writes out)
--            t  token of the owner
--            f  fingerprint
--            l  end of the lease, store time in ms; of an uncertain one: since when nothing of it is sent
--            a  the answer (RecordFormat), when settled
--            n  the attempt, when above 1
--            p  the probe, when there is one, until settled
--            w  the channel on which the next end is announced, when somebody watches
--          Its expiry is the retention.
-- open_key the bucket's open records with a probe, a sorted set: the id, by the time from which it is uncertain. Nil where the caller knows of no
--          probe, or a Cluster is moving the slot: a script that names a key which is not there is refused then. The sweeper sets right what is
--          left in the set (uncertain.lua).
-- ARGV[1]  the token of the caller, first in every reply, which shows the caller that the reply is its own
local function id()
  return string.sub(KEYS[1], -64)
end

local function open(since)
  if not open_key then
    return
  end
  redis.call('ZADD', open_key, string.format('%.0f', since), id())
  local rest = redis.call('PTTL', KEYS[1])
  if redis.call('PTTL', open_key) < rest then
    redis.call('PEXPIRE', open_key, rest)
  end
end

local function close()
  if open_key then
    redis.call('ZREM', open_key, id())
  end
  redis.call('HDEL', KEYS[1], 'p')
end

local function announce(channel)
  redis.call('HDEL', KEYS[1], 'w')
  redis.pcall('PUBLISH', channel, id()) -- whoever may not publish still writes; who waits polls
end

-- Why the owner may not write, if so. record: s, t, n. A record of a lower attempt that is not settled means that the store lost the take-over.
local function refusal(record, attempt)
  if not record[1] or (record[1] ~= 'x' and record[2] == ARGV[1]) then
    return nil
  end
  local ahead = (record[3] or 1) - attempt
  if ahead > 0 or record[2] == ARGV[1] then
    return 'taken-over'
  end
  if record[1] == 'a' or (record[1] ~= 'x' and ahead == 0) then
    return 'foreign'
  end
end
