namespace Gateway.Tests.Support;

/// <summary>A Redis master and its replica, which trade places when the test says so. A server that is cut off hears of no writes.</summary>
internal sealed class RedisPair : IAsyncDisposable
{
    private RedisPair(RedisServer one, RedisServer other)
    {
        One = one;
        Other = other;
    }

    /// <summary>The master, at first.</summary>
    public RedisServer One { get; }

    /// <summary>The replica, at first.</summary>
    public RedisServer Other { get; }

    public static async Task<RedisPair> StartAsync(params string[] settings)
    {
        string[] all = ["--repl-diskless-sync-delay", "0", .. settings];
        var one = await RedisServer.StartOwnAsync(all);
        RedisServer? other = null;
        try
        {
            other = await RedisServer.StartOwnAsync(all);
            await other.CommandAsync(["REPLICAOF", .. one.Configuration.Split(':')]);
            await WaitForLinkAsync(other, "up");
            return new RedisPair(one, other);
        }
        catch
        {
            await (other?.DisposeAsync() ?? default);
            await one.DisposeAsync();
            throw;
        }
    }

    /// <summary>From now on the replica hears of no write, also not of those that its master still has for it.</summary>
    public static async Task CutOffAsync(RedisServer replica, RedisServer from)
    {
        await replica.CommandAsync("CONFIG", "SET", "masterauth", "nobody");
        await from.CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        await WaitForLinkAsync(replica, "down");
    }

    /// <summary>The replica becomes the master, and the master its replica, which does not get to hear of its writes either.</summary>
    public static async Task PromoteAsync(RedisServer replica, RedisServer inPlaceOf)
    {
        await inPlaceOf.CommandAsync("CONFIG", "SET", "masterauth", "nobody");
        await replica.CommandAsync("REPLICAOF", "NO", "ONE");
        await inPlaceOf.CommandAsync(["REPLICAOF", .. replica.Configuration.Split(':')]);
    }

    public async ValueTask DisposeAsync()
    {
        await Other.DisposeAsync();
        await One.DisposeAsync();
    }

    private static Task WaitForLinkAsync(RedisServer replica, string status) => Eventually.TrueAsync(
        async () => (await replica.CommandAsync("INFO", "replication")).Contains($"master_link_status:{status}", StringComparison.Ordinal), $"the link to the master is {status}");
}
