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

    private static readonly RedisScript ClaimScript = new("claim.lua");
    private static readonly RedisScript SettleScript = new("settle.lua");
    private static readonly RedisScript ReleaseScript = new("release.lua");
    private static readonly RedisScript RenewScript = new("renew.lua");
    private static readonly RedisScript WatchScript = new("watch.lua");
    private static readonly RedisScript ForgetScript = new("forget.lua");
    private static readonly RedisScript[] Scripts = [ClaimScript, SettleScript, ReleaseScript, RenewScript, WatchScript, ForgetScript, .. RedisSweep.Scripts];
    private static readonly RedisValue StateAnswered = "a";
    private static readonly RedisValue StateUncertain = "u";

    private readonly StoreSettings _settings;
    private readonly ILogger _logger;
    private readonly RedisConnection _connection;
    private readonly WriteJournal _journal;
    private int _putBack; // the watch's alone
    private readonly RedisKeys _keys;
    private readonly RedisAnnouncements _changed;
    private readonly RedisAnnouncements _forgotten;
    private readonly RedisCalls _calls;
    private readonly RedisSweep _sweep;

    public RedisStore(StoreSettings settings, TimeProvider time, ILogger<RedisStore> logger)
    {
        _settings = settings;
        _logger = logger;
        _journal = new WriteJournal(time);
        Description = Describe(settings);
        _keys = new RedisKeys(settings.Redis.KeyPrefix);
        _changed = new RedisAnnouncements(settings.Redis.KeyPrefix + "changed", settings.Timeout, time);
        _forgotten = new RedisAnnouncements(settings.Redis.KeyPrefix + "forgotten", settings.Timeout, time);
        _connection = new RedisConnection(settings, Description, Scripts, PutBackAsync, time, logger);
        _calls = new RedisCalls(settings, Description, _connection, time, logger);
        _sweep = new RedisSweep(_calls, _keys);
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

    /// <summary>How many end points the configuration string names.</summary>
    /// <exception cref="ArgumentException">The client does not understand the string.</exception>
    public static int CountEndPoints(StoreSettings settings) => RedisConnection.CreateOptions(settings).EndPoints.Count;

    public async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var reply = await SendClaimAsync(claim, cancellationToken);
        if (RedisReply.IsLate(reply))
        {
            // Not executed. The nodes of a Cluster have clocks of their own, and this node's is ahead of the last one asked: again, by its time.
            reply = await SendClaimAsync(claim, cancellationToken);
        }

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
        var results = await Task.WhenAll(claims.Select(TryRenewAsync));
        return failure is not null && Array.TrueForAll(results, result => result == WriteResult.Unknown) ? throw failure : results;

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
        await _changed.FollowAsync(_connection.VerifiedDatabase.Multiplexer).WaitAsync(cancellationToken);
        var reply = await _calls.RunAsync(WatchScript, _keys.Of(id), [ClaimToken.Create().ToArray(), _changed.Channel], isClaim: true, cancellationToken);
        return RedisReply.IsAbsent(reply) ? null : RedisReply.ToClaimResult(reply);
    }

    public ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken) => _sweep.FindAsync(max, cancellationToken);

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        RedisValue[] arguments = [ClaimToken.Create().ToArray(), NotAfter(), Milliseconds(IIdempotencyStore.ForgottenFor), _forgotten.Channel];
        var reply = await _calls.RunAsync(ForgetScript, _keys.Of(id), arguments, isClaim: true, cancellationToken);
        if (RedisReply.IsLate(reply))
        {
            // As for a claim: this node's clock is ahead of the last one asked.
            _connection.Clock.Set((long)reply[2]);
            arguments[1] = NotAfter();
            reply = await _calls.RunAsync(ForgetScript, _keys.Of(id), arguments, isClaim: true, cancellationToken);
        }

        return RedisReply.ToIsForgotten(reply);
    }

    public ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => new(_connection.Secret);

    public async ValueTask PingAsync(CancellationToken cancellationToken)
    {
        // Asked first, so that looking at a store that is not there yet is no outage in the log.
        _ = _connection.VerifiedDatabase;
        await _calls.CallAsync(database => database.PingAsync(CommandFlags.DemandMaster), isClaim: true, cancellationToken);
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private async ValueTask<RedisResult[]> SendClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        // A claim is not redirected: a slot that moved means a server that may not have been looked at yet, which happens first.
        _ = _forgotten.FollowAsync(_connection.VerifiedDatabase.Multiplexer);
        var reply = await _calls.RunAsync(
            ClaimScript,
            _keys.Of(claim.Id),
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention), NotAfter(), claim.TakeOver,
                ToValue(claim.Probe),
            ],
            isClaim: true,
            cancellationToken);
        _connection.Clock.Set((long)reply[2]);
        return reply;
    }

    /// <summary>Settles a claim or marks it uncertain, and remembers it once the server has acknowledged it.</summary>
    private async ValueTask<WriteResult> EndAsync(
        ClaimRequest claim, ClaimEnd end, RedisValue state, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
    {
        WriteResult result;
        try
        {
            result = await WriteAsync(
                SettleScript,
                claim,
                [
                    claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Retention), state, ToValue(answer), claim.Attempt,
                    ToValue(claim.Probe),
                ],
                cancellationToken);
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

    private async Task<WriteResult> RenewAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var result = await WriteAsync(
            RenewScript,
            claim,
            [
                claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention), NotAfter(), claim.Attempt,
                ToValue(claim.Probe),
            ],
            cancellationToken);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            _journal.Add(claim, end: null);
        }

        return result;
    }

    /// <summary>Writes the journal to a server that may have lost it. Every write compares tokens, so that repeating one is harmless.</summary>
    /// <returns>How many were missing, those of earlier tries that failed half-way included.</returns>
    /// <exception cref="StoreUnavailableException">Some could not be written; to be repeated.</exception>
    private async Task<int> PutBackAsync()
    {
        StoreUnavailableException? failure = null;
        foreach (var batch in _journal.Last().Chunk(PutBackBatch))
        {
            var results = await Task.WhenAll(batch.Select(TryPutBackAsync));
            _putBack += results.Count(result => result == WriteResult.Recreated);
            foreach (var (entry, _) in batch.Zip(results).Where(pair => pair.Second == WriteResult.Foreign && pair.First.End != ClaimEnd.Release))
            {
                StoreLog.ClaimForeign(_logger, entry.Claim.Id.Short);
            }

            if (failure is not null)
            {
                throw failure;
            }
        }

        var putBack = _putBack;
        _putBack = 0;
        if (putBack > 0)
        {
            StoreLog.PutBack(_logger, Description, putBack);
        }

        return putBack;

        async Task<WriteResult> TryPutBackAsync(WriteJournal.Entry entry)
        {
            try
            {
                return entry.End is { } end ? await this.EndAsync(entry.Claim, end, entry.Answer) : await RenewAsync(entry.Claim, CancellationToken.None);
            }
            catch (StoreUnavailableException e)
            {
                failure = e;
                return WriteResult.Unknown;
            }
        }
    }

    private async ValueTask<WriteResult> WriteAsync(RedisScript script, ClaimRequest claim, RedisValue[] arguments, CancellationToken cancellationToken) =>
        RedisReply.ToWriteResult(await _calls.RunAsync(script, _keys.Of(claim.Id), arguments, isClaim: false, cancellationToken));

    /// <summary>The store time after which a claim or a re-created one must not take effect: its caller has been told by then.</summary>
    private long NotAfter() => _connection.Clock.Now + Milliseconds(_settings.Timeout);

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    /// <summary>Without a copy where the memory is a whole array, as records are.</summary>
    private static RedisValue ToValue(ReadOnlyMemory<byte> bytes) =>
        MemoryMarshal.TryGetArray(bytes, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length ? segment.Array : bytes.ToArray();

    private static string Describe(StoreSettings settings)
    {
        var endPoints = string.Join(", ", RedisConnection.CreateOptions(settings).EndPoints).Replace("Unspecified/", "", StringComparison.Ordinal);
        return $"Redis ({endPoints}, keys {settings.Redis.KeyPrefix}*)";
    }
}
