using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Makes the calls, bounded by <see cref="StoreCalls"/>: the client looks at its timeouts once per heartbeat only, and queues without end.
/// </summary>
internal sealed class RedisCalls(StoreSettings settings, string description, RedisConnection connection, TimeProvider time, ILogger logger)
{
    private readonly StoreCalls _calls = new("Redis", time);

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
        var wasMade = false;
        try
        {
            var result = await _calls.RunAsync(
                () =>
                {
                    var underWay = call(connection.Database);
                    wasMade = true;
                    return underWay;
                },
                timeout,
                cancellationToken);
            node?.Outage.Up();
            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // The client throws a dozen types and has its own bugs; whatever it was, the caller got no answer.
            throw Explain(e, node, timeout, wasMade);
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
            node?.Outage.Down(explained.Message);
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
