using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Keys and answers in Redis, one node or a Cluster, each step one Lua script, so that many gateways can share it. Its clock is the
/// server's (TIME).
/// </summary>
internal sealed class RedisStore : IIdempotencyStore
{
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
    private readonly RedisConnection _connection;
    private readonly WriteJournal _journal;
    private readonly TimeProvider _time;
    private readonly RedisKeys _keys;
    private readonly RedisAnnouncements _changed;
    private readonly RedisAnnouncements _forgotten;
    private readonly RedisCalls _calls;
    private readonly RedisSweep _sweep;
    private readonly RedisWalk _walk;
    private readonly RedisReplicas? _replicas;
    private readonly RedisClaims _claims;

    /// <param name="settings">Of the store.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    /// <param name="lookTimeout">
    /// How long a server may take to say who it is: a second. No setting: after a failover the gateways' last writes would come back later than the
    /// others wait for them.
    /// </param>
    public RedisStore(StoreSettings settings, TimeProvider time, ILogger<RedisStore> logger, TimeSpan? lookTimeout = null)
    {
        _settings = settings;
        _time = time;
        _journal = new WriteJournal(time);
        Description = new RedisOptions(settings).Description;
        _keys = new RedisKeys(settings.Redis.KeyPrefix);
        _changed = new RedisAnnouncements(settings.Redis.KeyPrefix + "changed", settings.Timeout, time);
        _forgotten = new RedisAnnouncements(settings.Redis.KeyPrefix + "forgotten", settings.Timeout, time);
        _connection = new RedisConnection(settings, Description, Scripts, new RedisPutBack(WriteBackAsync, _journal, logger), lookTimeout ?? TimeSpan.FromSeconds(1), time, logger);
        _calls = new RedisCalls(settings, Description, _connection, time, logger);
        _sweep = new RedisSweep(_calls, _connection, _keys);
        _walk = new RedisWalk(_calls, _connection, _keys, settings, Description, time, logger);
        _replicas = settings.Redis.Acknowledge == RedisAcknowledge.Primary ? null
            : new RedisReplicas(_connection.ConnectAnotherAsync, settings.Redis.KeyPrefix, settings.Timeout, time);
        _claims = new RedisClaims(settings, Description, _connection, _calls, _forgotten, _replicas, time);
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
        var reply = await _claims.SendAsync(claim, cancellationToken);
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
                return await RenewAsync(claim, _connection.NodeOf(claim.Id.Bucket), cancellationToken);
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

    public ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => _walk.WalkAsync(max, cancellationToken);

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        var bucket = _connection.Open(id.Bucket);
        RedisValue[] arguments = [ClaimToken.Create().ToArray(), bucket.Node.NotAfter(_settings.Timeout), RedisArguments.Of(IIdempotencyStore.ForgottenFor), _forgotten.Channel];
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

    /// <summary>Settles a claim or marks it uncertain, and remembers it once the server has acknowledged it.</summary>
    private async ValueTask<WriteResult> EndAsync(
        ClaimRequest claim, ClaimEnd end, RedisValue state, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken, bool isPutBack = false)
    {
        WriteResult result;
        try
        {
            RedisValue[] arguments =
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), RedisArguments.Of(claim.Retention), state, RedisArguments.Of(answer), claim.Attempt,
                RedisArguments.Of(claim.Probe),
            ];
            result = _replicas is not null && end == ClaimEnd.Settle && !isPutBack
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

    /// <summary>
    /// Writes an entry of the journal while the server takes no claims. No replica is waited for: there is none to be sure of yet, and the next
    /// claim that waits for one waits for this, too.
    /// </summary>
    private async Task<WriteResult> WriteBackAsync(WriteJournal.Entry entry, RedisNode node) => entry.End switch
    {
        null => await RenewAsync(entry.Claim, node, CancellationToken.None),
        ClaimEnd.Settle => await EndAsync(entry.Claim, ClaimEnd.Settle, StateAnswered, entry.Answer, CancellationToken.None, isPutBack: true),
        { } end => await this.EndAsync(entry.Claim, end, entry.Answer),
    };

    /// <summary>Settles where a replica can then be waited for: on the run of the server that the bucket is known to be on.</summary>
    private async ValueTask<WriteResult> SettleOnReplicaAsync(RedisReplicas replicas, ClaimRequest claim, RedisValue[] arguments)
    {
        var began = _time.GetTimestamp();
        var bucket = _connection.Open(claim.Id.Bucket);
        if (await _calls.RunFencedAsync(bucket.Fence.Settle, _keys.Of(claim), arguments, bucket, _settings.Timeout) is not { } reply)
        {
            _connection.Doubt(bucket, lacksFence: true);
            throw new StoreUnavailableException($"{Description}: the server is being checked");
        }

        var result = RedisReply.ToWriteResult(reply);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            await replicas.RequireAsync(bucket, _settings.Timeout - _time.GetElapsedTime(began));
        }

        return result;
    }

    private async Task<WriteResult> RenewAsync(ClaimRequest claim, RedisNode? node, CancellationToken cancellationToken)
    {
        var result = await WriteAsync(
            RenewScript,
            claim,
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), RedisArguments.Of(claim.Lease), RedisArguments.Of(claim.Retention),
                node?.NotAfter(_settings.Timeout) ?? 0, claim.Attempt, RedisArguments.Of(claim.Probe),
            ],
            cancellationToken);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            _journal.Add(claim, end: null);
        }

        return result;
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
}
