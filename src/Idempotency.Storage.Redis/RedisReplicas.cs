using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Waits until a replica has what its master acknowledged, for <c>Store:Redis:Acknowledge</c> <c>Replica</c>. WAIT blocks its connection and
/// speaks of that connection's own writes: so it has a connection of its own, on which a small write goes before it. That write carries the
/// fence of the run that executed what is waited for, and the connection's id stands on both sides, so that neither another server nor a new
/// connection can answer for it. (WAIT, and Redis' replication: "WAIT returns ... when all the previous write commands sent in the context of the
/// current connection are acknowledged".)
/// </summary>
/// <param name="connect">Makes the connection.</param>
/// <param name="keyPrefix">Of the store.</param>
/// <param name="timeout">The longest wait.</param>
/// <param name="time">Local time.</param>
internal sealed class RedisReplicas(Func<Task<ConnectionMultiplexer>> connect, string keyPrefix, TimeSpan timeout, TimeProvider time) : IAsyncDisposable
{
    private readonly RedisKeys _keys = new(keyPrefix);
    private readonly Lock _lock = new();
    private Task<ConnectionMultiplexer>? _connecting;

    /// <summary>Returns when at least one replica has what this server had executed when it was called.</summary>
    /// <exception cref="StoreUnavailableException">None has in time. What was executed stands on the master, and may be lost with it.</exception>
    public async Task RequireAsync(OpenBucket bucket, TimeSpan patience)
    {
        var isHeld = false;
        try
        {
            isHeld = await bucket.Fence.Rounds.JoinAsync(() => TryRoundAsync(bucket)).WaitAsync(patience > TimeSpan.Zero ? patience : TimeSpan.FromMilliseconds(1), time);
        }
        catch (TimeoutException)
        {
            // As when the round had found none.
        }

        if (!isHeld)
        {
            throw new StoreUnavailableException("no replica has acknowledged the write in time (Store:Redis:Acknowledge is Replica)") { MayHaveTakenEffect = true };
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connecting is not { } connecting)
        {
            return;
        }

        await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (connecting.IsCompletedSuccessfully)
        {
            await (await connecting).DisposeAsync();
        }
    }

    private async Task<bool> TryRoundAsync(OpenBucket bucket)
    {
        try
        {
            return await RoundAsync(bucket);
        }
#pragma warning disable CA1031 // whatever the client throws, no replica has said that it has it
        catch (Exception)
#pragma warning restore CA1031
        {
            return false;
        }
    }

    private async Task<bool> RoundAsync(OpenBucket bucket)
    {
        var connecting = ConnectAsync();
        var multiplexer = await connecting.WaitAsync(timeout, time);
        if (!multiplexer.GetEndPoints().Contains(bucket.Node.EndPoint))
        {
            await DropAsync(connecting); // Sentinels have named another master since
            return false;
        }

        var server = multiplexer.GetServer(bucket.Node.EndPoint);
        var token = ClaimToken.Create().ToArray();

        // Sent together, and so answered in this order.
        var before = server.ExecuteAsync("CLIENT", "ID");
        var mark = bucket.Fence.Mark.RunOnAsync(server, _keys.Marks(bucket.Number), token, time.GetTimestamp());
        var replicas = server.ExecuteAsync("WAIT", 1, (long)timeout.TotalMilliseconds);
        var after = server.ExecuteAsync("CLIENT", "ID");
        await Task.WhenAll(before, mark, replicas, after).WaitAsync(2 * timeout, time);
        return RedisReply.TryRead(await mark, token) is not null && (long)await before == (long)await after && (long)await replicas > 0;
    }

    private Task<ConnectionMultiplexer> ConnectAsync()
    {
        lock (_lock)
        {
            return _connecting = _connecting is null or { IsFaulted: true } or { IsCanceled: true } ? connect() : _connecting;
        }
    }

    /// <summary>Once, whoever asks first.</summary>
    private async Task DropAsync(Task<ConnectionMultiplexer> connecting)
    {
        lock (_lock)
        {
            if (_connecting != connecting)
            {
                return;
            }

            _connecting = null;
        }

        await (await connecting).DisposeAsync();
    }
}
