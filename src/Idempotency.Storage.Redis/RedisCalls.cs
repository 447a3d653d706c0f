using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Makes the calls. Every one has a timeout of our own, because the client looks at its timeouts once per heartbeat only, and the number of calls
/// under way is bounded, because the client queues without end.
/// </summary>
internal sealed class RedisCalls(StoreSettings settings, string description, RedisConnection connection, TimeProvider time, ILogger logger)
{
    /// <summary>Calls beyond this many fail at once: a slow server must not fill the memory with waiting requests.</summary>
    private const int MaxOutstanding = 10_000;

    private int _outstanding;

    /// <summary>Runs a script of a fence on the server that it is meant for.</summary>
    /// <returns>Null when another server, or another run of it, has the bucket now. Nothing was executed.</returns>
    public async Task<RedisResult[]?> RunFencedAsync(RedisScript script, RedisKey[] keys, RedisValue[] arguments, OpenBucket bucket, TimeSpan timeout)
    {
        try
        {
            return await CallAsync(
                // Not redirected: a slot that moved means a server that may not have been looked at yet, which happens first.
                database => ReadAsync(database, script.RunAsync(database, keys, arguments, CommandFlags.DemandMaster | CommandFlags.NoRedirect), arguments),
                bucket.Node,
                timeout,
                CancellationToken.None);
        }
        catch (StoreUnavailableException e) when (IsUnknownScript(e.InnerException))
        {
            return null;
        }
    }

    /// <summary>Runs a script on a record; a server that does not know it is given the text.</summary>
    /// <param name="script">Not one of claims.</param>
    /// <param name="keys">Its KEYS.</param>
    /// <param name="arguments">Its ARGV; the first is a token.</param>
    /// <param name="bucket">What the call is allowed by; null for writes of owners, which compare tokens and may be made at any time.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<RedisResult[]> RunAsync(
        RedisScript script, RedisKey[] keys, RedisValue[] arguments, OpenBucket? bucket, CancellationToken cancellationToken) => CallAsync(
        async database =>
        {
            try
            {
                return await ReadAsync(database, script.RunAsync(database, keys, arguments, CommandFlags.DemandMaster), arguments);
            }
            catch (RedisServerException e) when (IsUnknownScript(e))
            {
                return await ReadAsync(database, script.RunTextAsync(database, keys, arguments, CommandFlags.DemandMaster), arguments);
            }
        },
        bucket?.Node,
        settings.Timeout,
        cancellationToken);

    /// <summary>Every call of the client goes through here: bounded in number and time, and failing in one way.</summary>
    public async Task<T> CallAsync<T>(Func<IDatabase, Task<T>> call, RedisNode? node, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _outstanding) > MaxOutstanding)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new StoreUnavailableException($"more than {MaxOutstanding} calls to Redis are under way");
        }

        Task<T>? underWay = null;
        try
        {
            underWay = call(connection.Database);
            var result = await underWay.WaitAsync(timeout, time, cancellationToken);
            node?.CallSucceeded();
            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // The client throws a dozen types and has its own bugs; whatever it was, the caller got no answer.
            throw Explain(e, node, timeout, wasMade: underWay is not null);
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

    private static bool IsUnknownScript(Exception? e) => RedisErrors.IsServerError(e, "NOSCRIPT");

    /// <summary>A reply begins with the token that was sent: one that does not belongs to another request.</summary>
    private async Task<RedisResult[]> ReadAsync(IDatabase database, Task<RedisResult> reply, RedisValue[] arguments)
    {
        if (RedisReply.TryRead(await reply, token: (byte[])arguments[0]!) is { } own)
        {
            return own;
        }

        StoreLog.Desynchronised(logger, description);
        connection.Distrust(database.Multiplexer);
        throw new StoreUnavailableException("Redis answered with another request's reply") { MayHaveTakenEffect = true };
    }

    private StoreUnavailableException Explain(Exception e, RedisNode? node, TimeSpan timeout, bool wasMade)
    {
        if (RedisErrors.IsAboutPlace(e))
        {
            connection.AskRoles();
        }

        var explained = e as StoreUnavailableException ?? new StoreUnavailableException(
            e is TimeoutException ? $"Redis gave no answer within {timeout.TotalSeconds:0.###} s" : $"Redis failed: {RedisErrors.Describe(e)}", e)
        {
            MayHaveTakenEffect = wasMade && MayHaveBeenExecuted(e),
        };
        if (wasMade && !IsUnknownScript(e))
        {
            // A connection that is not there is the watch's to report.
            node?.CallFailed(explained.Message);
        }

        return explained;
    }

    /// <summary>A refusal is an answer: nothing was executed. Nor was what the client never began to write.</summary>
    private static bool MayHaveBeenExecuted(Exception e) => e switch
    {
        RedisServerException => false,
        RedisTimeoutException timeout => timeout.Commandstatus is not (CommandStatus.WaitingToBeSent or CommandStatus.WaitingInBacklog),
        RedisConnectionException connection => connection.CommandStatus is not (CommandStatus.WaitingToBeSent or CommandStatus.WaitingInBacklog),
        _ => true,
    };
}
