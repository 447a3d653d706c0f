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
    private readonly StoreClock _clock;
    private readonly RedisJournal _journal;
    private byte[]? _secret;
    private int _outstanding;
    private volatile bool _failing;

    public RedisStore(StoreSettings settings, TimeProvider time, ILogger<RedisStore> logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        _clock = new StoreClock(time);
        _journal = new RedisJournal(time);
        _connection = new RedisConnection(settings, Description, PutBackAsync, time, logger);
    }

    public string Description => $"Redis ({string.Join(", ", RedisConnection.CreateOptions(_settings).EndPoints).Replace("Unspecified/", "", StringComparison.Ordinal)}, keys {_settings.Redis.KeyPrefix}*)";

    /// <summary>How many end points the configuration string names.</summary>
    /// <exception cref="ArgumentException">The client does not understand the string.</exception>
    public static int CountEndPoints(StoreSettings settings) => RedisConnection.CreateOptions(settings).EndPoints.Count;

    public async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        if (!_clock.IsSet)
        {
            await PingAsync(cancellationToken);
        }

        var reply = await SendClaimAsync(claim, cancellationToken);
        if ((string?)reply[1] == "late")
        {
            // Not executed. The nodes of a Cluster have clocks of their own, and this node's is ahead of the last one asked: again, by its time.
            reply = await SendClaimAsync(claim, cancellationToken);
        }

        var result = ToClaimResult(claim, reply);
        if (result.State == ClaimState.Claimed)
        {
            _journal.Add(claim, end: null);
        }

        return result;
    }

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EndAsync(claim, ClaimEnd.Settle, answer, cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EndAsync(claim, ClaimEnd.MarkUncertain, default, cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EndAsync(claim, ClaimEnd.Release, default, cancellationToken);

    public async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        await Task.WhenAll(claims.Select(claim => RenewAsync(claim, cancellationToken)));

    public async ValueTask<byte[]> GetOrAddSecretAsync(ReadOnlyMemory<byte> candidate, CancellationToken cancellationToken)
    {
        await CallAsync(
            database => database.StringSetAsync(SecretKey, ToValue(candidate), expiry: null, When.NotExists, CommandFlags.DemandMaster),
            isClaim: true,
            cancellationToken);
        var secret = (byte[]?)await CallAsync(
            database => database.StringGetAsync(SecretKey, CommandFlags.DemandMaster), isClaim: true, cancellationToken);
        _secret = secret;
        return secret ?? throw new StoreUnavailableException("Redis returned no secret right after it was set");
    }

    public async ValueTask PingAsync(CancellationToken cancellationToken)
    {
        // TIME through a script: the client's own TIME needs a server, and a Cluster has many. The key only picks the node.
        var reply = await CallAsync(
            database => database.ScriptEvaluateAsync("return redis.call('TIME')", [SecretKey], [], CommandFlags.DemandMaster), isClaim: true, cancellationToken);
        var time = (RedisResult[])reply!;
        _clock.Set(((long)time[0] * 1000) + ((long)time[1] / 1000));
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    /// <summary>Ends a claim, and remembers it once the server has acknowledged it.</summary>
    private async ValueTask<WriteResult> EndAsync(ClaimRequest claim, ClaimEnd end, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
    {
        var result = end == ClaimEnd.Release
            ? await WriteAsync(ReleaseScript, claim.Id, [claim.Token.ToArray()], cancellationToken)
            : await WriteAsync(
                SettleScript,
                claim.Id,
                [
                    claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Retention),
                    end == ClaimEnd.Settle ? StateAnswered : StateUncertain, ToValue(answer),
                ],
                cancellationToken);
        _journal.Add(claim, end, answer);
        return result;
    }

    private async Task<WriteResult> RenewAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var result = await WriteAsync(
            RenewScript,
            claim.Id,
            [claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention)],
            cancellationToken);
        _journal.Add(claim, end: null);
        return result;
    }

    /// <summary>Writes the journal to a server that may have lost it. Every write compares tokens, so that repeating one is harmless.</summary>
    private async Task PutBackAsync()
    {
        var putBack = 0;
        if (_secret is { } secret)
        {
            await CallAsync(
                database => database.StringSetAsync(SecretKey, secret, expiry: null, When.NotExists, CommandFlags.DemandMaster), isClaim: false, CancellationToken.None);
        }

        foreach (var (claim, end, answer, _) in _journal.Last())
        {
            var result = end is null
                ? await RenewAsync(claim, CancellationToken.None)
                : await EndAsync(claim, end.Value, answer, CancellationToken.None);
            putBack += result == WriteResult.Recreated ? 1 : 0;
        }

        if (putBack > 0)
        {
            StoreLog.PutBack(_logger, Description, putBack);
        }
    }

    private static ClaimResult ToClaimResult(in ClaimRequest claim, RedisResult[] reply)
    {
        var state = (string?)reply[1];
        if (state is "claimed")
        {
            return new ClaimResult(ClaimState.Claimed, claim.Fingerprint);
        }

        if (state is "late")
        {
            throw new StoreUnavailableException("Redis executed the claim too late");
        }

        Fingerprint fingerprint;
        try
        {
            fingerprint = Fingerprint.From((byte[])reply[2]!);
        }
        catch (RecordFormatException e)
        {
            throw new StoreUnavailableException($"a record in Redis cannot be read: {e.Message}", e);
        }

        return state switch
        {
            "settled" => new ClaimResult(ClaimState.Settled, fingerprint, Answer: (byte[]?)reply[4] ?? []),
            "in-progress" => new ClaimResult(ClaimState.InProgress, fingerprint, TimeSpan.FromMilliseconds((long)reply[3])),
            "uncertain" => new ClaimResult(ClaimState.Uncertain, fingerprint),
            _ => throw new StoreUnavailableException($"Redis answered a claim with '{state}'"),
        };
    }

    private async ValueTask<RedisResult[]> SendClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        RedisValue[] arguments =
        [
            claim.Token.ToArray(), claim.Fingerprint.ToArray(), Milliseconds(claim.Lease), Milliseconds(claim.Retention),
            _clock.Now + Milliseconds(_settings.Timeout),
        ];
        var reply = (RedisResult[])(await CallAsync(
            database => ClaimScript.RunAsync(database, KeyOf(claim.Id), arguments), isClaim: true, cancellationToken))!;
        _clock.Set((long)reply[0]);
        return reply;
    }

    private async ValueTask<WriteResult> WriteAsync(RedisScript script, RecordId id, RedisValue[] arguments, CancellationToken cancellationToken) =>
        (string?)await CallAsync(database => script.RunAsync(database, KeyOf(id), arguments), isClaim: false, cancellationToken) switch
        {
            "done" => WriteResult.Done,
            "recreated" => WriteResult.Recreated,
            "gone" => WriteResult.Gone,
            "foreign" => WriteResult.Foreign,
            "settled" => WriteResult.Settled,
            var other => throw new StoreUnavailableException($"Redis answered a write with '{other}'"),
        };


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
            if (_failing)
            {
                _failing = false;
                StoreLog.Recovered(_logger, Description);
            }

            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // The client throws a dozen types and has its own bugs; whatever it was, the caller got no answer.
            var reason = e switch
            {
                StoreUnavailableException => e.Message,
                TimeoutException => $"Redis gave no answer within {_settings.Timeout.TotalSeconds:0.###} s",
                _ => $"Redis failed: {RedisErrors.Describe(e)}",
            };
            LogFailure(reason);
            throw new StoreUnavailableException(reason, e);
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

    private void LogFailure(string reason)
    {
        if (!_failing)
        {
            _failing = true;
            StoreLog.Failing(_logger, Description, reason);
        }
    }

    private RedisKey SecretKey => _settings.Redis.KeyPrefix + "secret";

    /// <summary>The bucket is the Cluster's hash tag: what belongs to one bucket shares a slot.</summary>
    private RedisKey KeyOf(RecordId id) => $"{_settings.Redis.KeyPrefix}{{b{id.Bucket:d4}}}:{id}";

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    private static RedisValue ToValue(ReadOnlyMemory<byte> bytes) => bytes.ToArray();
}
