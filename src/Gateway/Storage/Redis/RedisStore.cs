using System.Runtime.InteropServices;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keys and answers in Redis, one node or a Cluster, each step one Lua script, so that many gateways can share it. Its clock is the
/// server's (TIME). Every call has a timeout of our own, because the client's asynchronous calls have none, and the number of calls
/// under way is bounded, because the client queues without end.
/// </summary>
internal sealed class RedisStore : IIdempotencyStore
{
    /// <summary>Calls beyond this many fail at once: a slow server must not fill the memory with waiting requests.</summary>
    private const int MaxOutstanding = 10_000;

    /// <summary>How many journal entries are written back at a time.</summary>
    private const int PutBackBatch = 256;

    private static readonly RedisScript ClaimScript = new("claim.lua");
    private static readonly RedisScript SettleScript = new("settle.lua");
    private static readonly RedisScript ReleaseScript = new("release.lua");
    private static readonly RedisScript RenewScript = new("renew.lua");
    private static readonly RedisValue StateAnswered = "a";
    private static readonly RedisValue StateUncertain = "u";

    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RedisConnection _connection;
    private readonly RedisJournal _journal;
    private int _outstanding;
    private volatile bool _failing;

    public RedisStore(StoreSettings settings, TimeProvider time, ILogger<RedisStore> logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        _journal = new RedisJournal(time);
        Description = Describe(settings);
        _connection = new RedisConnection(settings, Description, [ClaimScript, SettleScript, ReleaseScript, RenewScript], PutBackAsync, time, logger);
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

        var result = RedisReply.ToClaimResult(claim, reply);
        if (result.State == ClaimState.Claimed)
        {
            _journal.Add(claim, end: null);
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
        // not be put back.
        _journal.Add(claim, ClaimEnd.Release);
        return WriteAsync(ReleaseScript, claim, [claim.Token.ToArray()], cancellationToken);
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

    public ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => new(_connection.Secret);

    public async ValueTask PingAsync(CancellationToken cancellationToken)
    {
        // Asked first, so that looking at a store that is not there yet is no outage in the log.
        _ = _connection.VerifiedDatabase;
        await CallAsync(database => database.PingAsync(CommandFlags.DemandMaster), isClaim: true, cancellationToken);
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private async ValueTask<RedisResult[]> SendClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        // A claim is not redirected: a slot that moved means a server that may not have been looked at yet, which happens first.
        var reply = await RunAsync(
            ClaimScript,
            claim,
            [claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention), NotAfter()],
            isClaim: true,
            cancellationToken);
        _connection.Clock.Set((long)reply[2]);
        return reply;
    }

    /// <summary>Settles a claim or marks it uncertain, and remembers it once the server has acknowledged it.</summary>
    private async ValueTask<WriteResult> EndAsync(
        ClaimRequest claim, ClaimEnd end, RedisValue state, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
    {
        var result = await WriteAsync(
            SettleScript,
            claim,
            [claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Retention), state, ToValue(answer)],
            cancellationToken);
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
            [claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention), NotAfter()],
            cancellationToken);
        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            _journal.Add(claim, end: null);
        }

        return result;
    }

    /// <summary>Writes the journal to a server that may have lost it. Every write compares tokens, so that repeating one is harmless.</summary>
    /// <returns>How many were missing.</returns>
    private async Task<int> PutBackAsync()
    {
        var putBack = 0;
        foreach (var batch in _journal.Last().Chunk(PutBackBatch))
        {
            var results = await Task.WhenAll(batch.Select(entry => entry.End is { } end
                ? this.EndAsync(entry.Claim, end, entry.Answer).AsTask()
                : RenewAsync(entry.Claim, CancellationToken.None)));
            putBack += results.Count(result => result == WriteResult.Recreated);
            foreach (var (entry, _) in batch.Zip(results).Where(pair => pair.Second == WriteResult.Foreign && pair.First.End != ClaimEnd.Release))
            {
                StoreLog.ClaimForeign(_logger, entry.Claim.Id.Short);
            }
        }

        if (putBack > 0)
        {
            StoreLog.PutBack(_logger, Description, putBack);
        }

        return putBack;
    }

    private async ValueTask<WriteResult> WriteAsync(RedisScript script, ClaimRequest claim, RedisValue[] arguments, CancellationToken cancellationToken) =>
        RedisReply.ToWriteResult(await RunAsync(script, claim, arguments, isClaim: false, cancellationToken));

    /// <summary>Runs a script on a record. Its reply begins with the token that was sent: a reply that does not belongs to another request.</summary>
    private async Task<RedisResult[]> RunAsync(
        RedisScript script, ClaimRequest claim, RedisValue[] arguments, bool isClaim, CancellationToken cancellationToken)
    {
        var flags = isClaim ? CommandFlags.DemandMaster | CommandFlags.NoRedirect : CommandFlags.DemandMaster;
        var key = KeyOf(claim.Id);
        return await CallAsync(
            async database =>
            {
                var result = await script.RunAsync(database, key, arguments, flags);
                if (RedisReply.TryRead(result, token: (byte[])arguments[0]!) is { } reply)
                {
                    return reply;
                }

                StoreLog.Desynchronised(_logger, Description);
                _connection.Distrust(database.Multiplexer);
                throw new StoreUnavailableException("Redis answered with another request's reply") { MayHaveTakenEffect = true };
            },
            isClaim,
            cancellationToken);
    }

    /// <summary>Every call of the client goes through here: bounded in number and time, and failing in one way.</summary>
    private async Task<T> CallAsync<T>(Func<IDatabase, Task<T>> call, bool isClaim, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _outstanding) > MaxOutstanding)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new StoreUnavailableException($"more than {MaxOutstanding} calls to Redis are under way");
        }

        Task<T>? underWay = null;
        try
        {
            underWay = call(isClaim ? _connection.VerifiedDatabase : _connection.Database);
            var result = await underWay.WaitAsync(_settings.Timeout, _time, cancellationToken);
            if (_failing && isClaim)
            {
                _failing = false;
                StoreLog.Recovered(_logger, Description);
            }

            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // The client throws a dozen types and has its own bugs; whatever it was, the caller got no answer.
            throw Explain(e, wasSent: underWay is not null);
        }
        finally
        {
            if (underWay is { IsCompleted: false })
            {
                // Given up, but still queued in the client: it counts until the client is done with it.
                _ = underWay.ContinueWith(
                    abandoned => Interlocked.Decrement(ref _outstanding), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
            else
            {
                Interlocked.Decrement(ref _outstanding);
            }
        }
    }

    private StoreUnavailableException Explain(Exception e, bool wasSent)
    {
        if (e is RedisServerException && RedisErrors.HasCode(e, "READONLY"))
        {
            _connection.Doubt();
        }

        var explained = e as StoreUnavailableException ?? new StoreUnavailableException(
            e is TimeoutException ? $"Redis gave no answer within {_settings.Timeout.TotalSeconds:0.###} s" : $"Redis failed: {RedisErrors.Describe(e)}", e)
        {
            // A refusal is an answer: nothing was executed.
            MayHaveTakenEffect = wasSent && e is not RedisServerException,
        };
        if (!_failing && wasSent)
        {
            // A connection that is not there is the watch's to report.
            _failing = true;
            StoreLog.Failing(_logger, Description, explained.Message);
        }

        return explained;
    }

    /// <summary>The store time after which a claim or a re-created one must not take effect: its caller has been told by then.</summary>
    private long NotAfter() => _connection.Clock.Now + Milliseconds(_settings.Timeout);

    /// <summary>The bucket is the Cluster's hash tag: what belongs to one bucket shares a slot.</summary>
    private RedisKey KeyOf(RecordId id) => $"{_settings.Redis.KeyPrefix}{{b{id.Bucket:d4}}}:{id}";

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
