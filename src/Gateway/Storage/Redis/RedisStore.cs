using System.Runtime.InteropServices;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keys and answers in Redis, one node or a Cluster, each step one Lua script, so that many gateways can share it. Its clock is the
/// server's (TIME).
/// </summary>
internal sealed class RedisStore : IIdempotencyStore
{
    /// <summary>How many journal entries are written back at a time.</summary>
    private const int PutBackBatch = 256;

    /// <summary>How many leases are renewed at a time: a crowd of them must leave room for claims.</summary>
    private const int RenewBatch = 512;

    private static readonly RedisScript SettleScript = new("settle.lua");
    private static readonly RedisScript ReleaseScript = new("release.lua");
    private static readonly RedisScript RenewScript = new("renew.lua");
    private static readonly RedisScript WatchScript = new("watch.lua");
    private static readonly RedisScript ForgetScript = new("forget.lua");
    private static readonly RedisScript[] Scripts = [SettleScript, ReleaseScript, RenewScript, WatchScript, ForgetScript, .. RedisSweep.Scripts];
    private static readonly RedisValue StateAnswered = "a";
    private static readonly RedisValue StateUncertain = "u";

    private readonly StoreSettings _settings;
    private readonly ILogger _logger;
    private readonly RedisConnection _connection;
    private readonly WriteJournal _journal;
    private readonly TimeProvider _time;
    private readonly RedisKeys _keys;
    private readonly RedisAnnouncements _changed;
    private readonly RedisAnnouncements _forgotten;
    private readonly RedisCalls _calls;
    private readonly RedisSweep _sweep;
    private readonly RedisReplicas? _replicas;

    public RedisStore(StoreSettings settings, TimeProvider time, ILogger<RedisStore> logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        _journal = new WriteJournal(time);
        Description = new RedisOptions(settings).Description;
        _keys = new RedisKeys(settings.Redis.KeyPrefix);
        _changed = new RedisAnnouncements(settings.Redis.KeyPrefix + "changed", settings.Timeout, time);
        _forgotten = new RedisAnnouncements(settings.Redis.KeyPrefix + "forgotten", settings.Timeout, time);
        _connection = new RedisConnection(settings, Description, Scripts, PutBackAsync, time, logger);
        _calls = new RedisCalls(settings, Description, _connection, time, logger);
        _sweep = new RedisSweep(_calls, _connection, _keys);
        _replicas = settings.Redis.Acknowledge == RedisAcknowledge.Primary ? null
            : new RedisReplicas(_connection.ConnectAnotherAsync, settings.Redis.KeyPrefix, settings.Timeout, time);
    }

    public event Action<RecordId>? Changed
    {
        add => _changed.Heard += value;
        remove => _changed.Heard -= value;
    }

    public event Action<RecordId>? Forgotten
    {
        add => _forgotten.Heard += value;
        remove => _forgotten.Heard -= value;
    }

    public string Description { get; }

    /// <inheritdoc cref="RedisMistakes.Find"/>
    public static IReadOnlyList<(string Setting, string Expected)> FindMistakes(RedisStoreSettings settings) => RedisMistakes.Find(settings);

    public async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var reply = await SendClaimAsync(claim, cancellationToken);
        var result = RedisReply.ToClaimResult(reply, claim.Fingerprint);
        if (result.State == ClaimState.Claimed)
        {
            _journal.Add(claim with { Attempt = result.Attempt }, end: null);
        }

        return result;
    }

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EndAsync(claim, ClaimEnd.Settle, StateAnswered, answer, cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EndAsync(claim, ClaimEnd.MarkUncertain, StateUncertain, default, cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        // Remembered before it is sent. True whether it is acknowledged or not: from here on the key may be another's, and the claim must
        // not be put back. One that was taken over goes back to uncertain.
        _journal.Add(claim, claim.Attempt > 1 ? ClaimEnd.MarkUncertain : ClaimEnd.Release);
        return WriteAsync(ReleaseScript, claim, [claim.Token.ToArray(), claim.Attempt], cancellationToken);
    }

    public async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
    {
        StoreUnavailableException? failure = null;
        var results = new List<WriteResult>(claims.Count);
        foreach (var batch in claims.Chunk(RenewBatch))
        {
            // What cannot be written now is due again soon; to wait for every batch of it would hold up those that can.
            results.AddRange(failure is null ? await Task.WhenAll(batch.Select(TryRenewAsync)) : batch.Select(_ => WriteResult.Unknown));
        }

        return failure is not null && results.TrueForAll(result => result == WriteResult.Unknown) ? throw failure : results;

        async Task<WriteResult> TryRenewAsync(ClaimRequest claim)
        {
            try
            {
                return await RenewAsync(claim, cancellationToken);
            }
            catch (StoreUnavailableException e)
            {
                failure = e;
                return WriteResult.Unknown;
            }
        }
    }

    public async ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken)
    {
        // Subscribed first, so that no end falls between.
        var bucket = _connection.Open(id.Bucket);
        await _changed.FollowAsync(_connection.Database.Multiplexer).WaitAsync(cancellationToken);
        var reply = await _calls.RunAsync(WatchScript, _keys.Of(id), [ClaimToken.Create().ToArray(), _changed.Channel], bucket, cancellationToken);
        return RedisReply.IsAbsent(reply) ? null : RedisReply.ToClaimResult(reply);
    }

    public ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken) => _sweep.FindAsync(max, cancellationToken);

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        var bucket = _connection.Open(id.Bucket);
        RedisValue[] arguments = [ClaimToken.Create().ToArray(), NotAfter(bucket.Node, _settings.Timeout), Milliseconds(IIdempotencyStore.ForgottenFor), _forgotten.Channel];
        var reply = await _calls.RunAsync(ForgetScript, _keys.Of(id), arguments, bucket, cancellationToken);
        return RedisReply.ToIsForgotten(reply);
    }

    public ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => new(_connection.Secret);

    public async ValueTask PingAsync(CancellationToken cancellationToken)
    {
        // Asked first, so that looking at a store that is not there yet is no outage in the log.
        _connection.RequireReady();
        await _calls.CallAsync(database => database.PingAsync(CommandFlags.DemandMaster), node: null, _settings.Timeout, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await (_replicas?.DisposeAsync() ?? default);
    }

    /// <summary>
    /// Once, and once more where nothing was executed: the server's clock was ahead of the estimate, or the server is not the one that was
    /// looked at. All of it within one timeout.
    /// </summary>
    private async ValueTask<RedisResult[]> SendClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var began = _time.GetTimestamp();
        var bucket = _connection.Open(claim.Id.Bucket);
        _ = _forgotten.FollowAsync(_connection.Database.Multiplexer);
        for (var isFirst = true; ; isFirst = false)
        {
            RedisResult[]? reply;
            try
            {
                reply = await _calls.RunFencedAsync(bucket.Fence.Claim, _keys.OfClaim(claim), ClaimArguments(claim, bucket, Left()), bucket, Left());
            }
            catch (StoreUnavailableException e) when (RedisErrors.IsBetween(e.InnerException))
            {
                // The slot is being moved. What is on record can be told all the same.
                if (await PeekAsync(claim.Id, bucket, cancellationToken) is { } onRecord)
                {
                    return onRecord;
                }

                throw;
            }

            var isElsewhere = reply is null || RedisReply.IsOfAnotherEpoch(reply);
            if (reply is not null && !RedisReply.IsLate(reply) && !isElsewhere)
            {
                bucket.Node.Clock.Set((long)reply[2]);
                if (_replicas is not null && RedisReply.IsClaimed(reply))
                {
                    await _replicas.RequireAsync(bucket, Left());
                }

                return reply;
            }

            if (!isElsewhere)
            {
                bucket.Node.Clock.Set((long)reply![2]);
            }

            if (!isFirst || Left() <= TimeSpan.Zero)
            {
                throw new StoreUnavailableException(isElsewhere ? $"{Description}: the server is being checked" : "Redis executed the claim too late");
            }

            bucket = isElsewhere ? await _connection.ReopenAsync(bucket, Left(), cancellationToken) : bucket;
        }

        TimeSpan Left() => _settings.Timeout - _time.GetElapsedTime(began);
    }

    /// <summary>What is on record, wherever it is, when it cannot be claimed; null when nothing is.</summary>
    private async ValueTask<RedisResult[]?> PeekAsync(RecordId id, OpenBucket bucket, CancellationToken cancellationToken)
    {
        var reply = await _calls.RunAsync(WatchScript, _keys.Of(id), [ClaimToken.Create().ToArray(), ""], bucket, cancellationToken);
        return RedisReply.IsAbsent(reply) ? null : reply;
    }

    private static RedisValue[] ClaimArguments(in ClaimRequest claim, OpenBucket bucket, TimeSpan left) =>
    [
        claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention), NotAfter(bucket.Node, left),
        claim.TakeOver, ToValue(claim.Probe), bucket.Epoch,
    ];

    /// <summary>Settles a claim or marks it uncertain, and remembers it once the server has acknowledged it.</summary>
    private async ValueTask<WriteResult> EndAsync(
        ClaimRequest claim, ClaimEnd end, RedisValue state, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
    {
        WriteResult result;
        try
        {
            RedisValue[] arguments =
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Retention), state, ToValue(answer), claim.Attempt,
                ToValue(claim.Probe),
            ];
            result = _replicas is not null && end == ClaimEnd.Settle
                ? await SettleOnReplicaAsync(_replicas, claim, arguments)
                : await WriteAsync(SettleScript, claim, arguments, cancellationToken);
        }
        catch (StoreUnavailableException)
        {
            // Nobody works on it any more: put back as it is on record, its claim would begin another lease.
            _journal.Add(claim, ClaimEnd.MarkUncertain);
            throw;
        }

        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            _journal.Add(claim, end, answer);
        }

        return result;
    }

    /// <summary>Settles where a replica can then be waited for: on the run of the server that the bucket is known to be on.</summary>
    private async ValueTask<WriteResult> SettleOnReplicaAsync(RedisReplicas replicas, ClaimRequest claim, RedisValue[] arguments)
    {
        var began = _time.GetTimestamp();
        var bucket = _connection.Open(claim.Id.Bucket);
        if (await _calls.RunFencedAsync(bucket.Fence.Settle, _keys.Of(claim), arguments, bucket, _settings.Timeout) is not { } reply)
        {
            _connection.Doubt(bucket);
            throw new StoreUnavailableException($"{Description}: the server is being checked");
        }

        var result = RedisReply.ToWriteResult(reply);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            await replicas.RequireAsync(bucket, _settings.Timeout - _time.GetElapsedTime(began));
        }

        return result;
    }

    private async Task<WriteResult> RenewAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var result = await WriteAsync(
            RenewScript,
            claim,
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention),
                NotAfter(_connection.NodeOf(claim.Id.Bucket), _settings.Timeout), claim.Attempt, ToValue(claim.Probe),
            ],
            cancellationToken);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            _journal.Add(claim, end: null);
        }

        return result;
    }

    /// <summary>Writes the journal of some buckets to a server that may have lost it. Every write compares tokens, so that repeating one is harmless.</summary>
    /// <returns>How many were missing, and the failure if some could not be written; to be repeated then.</returns>
    private async Task<(int Count, Exception? Failure)> PutBackAsync(IReadOnlyCollection<int> buckets)
    {
        Exception? failure = null;
        var count = 0;
        foreach (var batch in _journal.Last().Where(entry => buckets.Contains(entry.Claim.Id.Bucket)).Chunk(PutBackBatch))
        {
            var results = await Task.WhenAll(batch.Select(TryPutBackAsync));
            count += results.Count(result => result == WriteResult.Recreated);
            foreach (var (entry, _) in batch.Zip(results).Where(pair => pair.Second == WriteResult.Foreign && pair.First.End != ClaimEnd.Release))
            {
                StoreLog.ClaimForeign(_logger, entry.Claim.Id.Short);
            }

            if (failure is not null)
            {
                break;
            }
        }

        return (count, failure);

        // A claim that was released meanwhile is not put back, and is released again if it was on its way.
        async Task<WriteResult> TryPutBackAsync(WriteJournal.Entry read)
        {
            try
            {
                var entry = _journal.IsOutdated(read, out var last) ? last : read;
                while (true)
                {
                    var result = entry.End is { } end ? await this.EndAsync(entry.Claim, end, entry.Answer) : await RenewAsync(entry.Claim, CancellationToken.None);
                    if (!_journal.IsOutdated(entry, out last))
                    {
                        return result;
                    }

                    entry = last;
                }
            }
            catch (StoreUnavailableException e)
            {
                failure = e;
                return WriteResult.Unknown;
            }
        }
    }

    private async ValueTask<WriteResult> WriteAsync(RedisScript script, ClaimRequest claim, RedisValue[] arguments, CancellationToken cancellationToken)
    {
        try
        {
            return RedisReply.ToWriteResult(await _calls.RunAsync(script, _keys.Of(claim), arguments, bucket: null, cancellationToken));
        }
        catch (StoreUnavailableException e) when (!claim.Probe.IsEmpty && RedisErrors.IsBetween(e.InnerException))
        {
            // The slot is being moved, and the record is on one side, the list of open ones on the other. The sweeper sets the list right later.
            return RedisReply.ToWriteResult(await _calls.RunAsync(script, _keys.Of(claim.Id), arguments, bucket: null, cancellationToken));
        }
    }

    /// <summary>The store time after which a claim or a re-created one must not take effect: its caller has been told by then.</summary>
    private static long NotAfter(RedisNode? node, TimeSpan left) => (node?.Clock.Now ?? 0) + Milliseconds(left);

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    /// <summary>Without a copy where the memory is a whole array, as records are.</summary>
    private static RedisValue ToValue(ReadOnlyMemory<byte> bytes) =>
        MemoryMarshal.TryGetArray(bytes, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length ? segment.Array : bytes.ToArray();
}
