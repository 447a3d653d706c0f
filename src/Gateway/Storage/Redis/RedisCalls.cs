using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Makes the calls. Every one has a timeout of our own, because the client's asynchronous calls have none, and the number of calls under
/// way is bounded, because the client queues without end.
/// </summary>
internal sealed class RedisCalls(StoreSettings settings, string description, RedisConnection connection, TimeProvider time, ILogger logger)
{
    /// <summary>Calls beyond this many fail at once: a slow server must not fill the memory with waiting requests.</summary>
    private const int MaxOutstanding = 10_000;

    private int _outstanding;
    private volatile bool _failing;

    /// <summary>Runs a script on a record. Its reply begins with the token that was sent: a reply that does not belongs to another request.</summary>
    public async Task<RedisResult[]> RunAsync(
        RedisScript script, RedisKey[] keys, RedisValue[] arguments, bool isClaim, CancellationToken cancellationToken)
    {
        var flags = isClaim ? CommandFlags.DemandMaster | CommandFlags.NoRedirect : CommandFlags.DemandMaster;
        return await CallAsync(
            async database =>
            {
                var result = await script.RunAsync(database, keys, arguments, flags);
                if (RedisReply.TryRead(result, token: (byte[])arguments[0]!) is { } reply)
                {
                    return reply;
                }

                StoreLog.Desynchronised(logger, description);
                connection.Distrust(database.Multiplexer);
                throw new StoreUnavailableException("Redis answered with another request's reply") { MayHaveTakenEffect = true };
            },
            isClaim,
            cancellationToken);
    }

    /// <summary>Every call of the client goes through here: bounded in number and time, and failing in one way.</summary>
    public async Task<T> CallAsync<T>(Func<IDatabase, Task<T>> call, bool isClaim, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _outstanding) > MaxOutstanding)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new StoreUnavailableException($"more than {MaxOutstanding} calls to Redis are under way");
        }

        Task<T>? underWay = null;
        try
        {
            underWay = call(isClaim ? connection.VerifiedDatabase : connection.Database);
            var result = await underWay.WaitAsync(settings.Timeout, time, cancellationToken);
            if (_failing && isClaim)
            {
                _failing = false;
                StoreLog.Recovered(logger, description);
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
            connection.Doubt();
        }

        var explained = e as StoreUnavailableException ?? new StoreUnavailableException(
            e is TimeoutException ? $"Redis gave no answer within {settings.Timeout.TotalSeconds:0.###} s" : $"Redis failed: {RedisErrors.Describe(e)}", e)
        {
            // A refusal is an answer: nothing was executed.
            MayHaveTakenEffect = wasSent && e is not RedisServerException,
        };
        if (!_failing && wasSent)
        {
            // A connection that is not there is the watch's to report.
            _failing = true;
            StoreLog.Failing(logger, description, explained.Message);
        }

        return explained;
    }
}
