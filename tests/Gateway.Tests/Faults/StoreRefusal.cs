using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>A state in which Redis answers with an error instead of executing a claim, and the way into it and out of it.</summary>
/// <param name="Settings">More of redis-server's command line.</param>
/// <param name="Begin">Brings the state about.</param>
/// <param name="End">Ends it.</param>
internal sealed record StoreRefusal(string[] Settings, Func<RedisServer, Task> Begin, Func<RedisServer, Task> End)
{
    private const string Password = "s3cret";

    /// <summary>By the code of the error.</summary>
    public static IReadOnlyDictionary<string, StoreRefusal> All { get; } = new Dictionary<string, StoreRefusal>
    {
        ["OOM"] = BySetting("maxmemory", bad: "1", good: "0"),
        ["NOREPLICAS"] = BySetting("min-replicas-to-write", bad: "1", good: "0"),
        ["MISCONF"] = new(["--save", "3600 1000000"], FailToSaveAsync, SaveAsync),
        ["BUSY"] = new(["--busy-reply-threshold", "50"], LoopAsync, redis => redis.CommandAsync("SCRIPT", "KILL")),
        ["LOADING"] = new(["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"], LoadSlowlyAsync, IsLoadedAsync),
        ["NOPERM"] = new([], redis => redis.CommandAsync("ACL", "SETUSER", "default", "-evalsha"), redis => redis.CommandAsync("ACL", "SETUSER", "default", "+evalsha")),
        ["NOAUTH"] = new([], LockAsync, UnlockAsync),
    };

    private static StoreRefusal BySetting(string name, string bad, string good) =>
        new([], redis => redis.CommandAsync("CONFIG", "SET", name, bad), redis => redis.CommandAsync("CONFIG", "SET", name, good));

    /// <summary>A directory stands where the snapshot should be.</summary>
    private static async Task FailToSaveAsync(RedisServer redis)
    {
        Directory.CreateDirectory(Path.Combine(redis.Directory, "dump.rdb"));
        await redis.CommandAsync("BGSAVE");
        await WaitForInfoAsync(redis, "rdb_last_bgsave_status:err");
    }

    private static async Task SaveAsync(RedisServer redis)
    {
        Directory.Delete(Path.Combine(redis.Directory, "dump.rdb"));
        await redis.CommandAsync("BGSAVE");
    }

    private static async Task LoopAsync(RedisServer redis)
    {
        _ = AnswerAsync(redis, "EVAL", "while true do end", "0");
        await Eventually.TrueAsync(async () => await AnswerAsync(redis, "PING") is var answer && answer.StartsWith("BUSY", StringComparison.Ordinal), "busy");
    }

    /// <summary>A restart from a snapshot that takes a few seconds to read.</summary>
    private static async Task LoadSlowlyAsync(RedisServer redis)
    {
        await redis.CommandAsync("EVAL", "for i = 1, 3000 do redis.call('SET', 'filler' .. i, string.rep('x', 1024)) end", "0");
        await redis.CommandAsync("SAVE");
        await redis.StopAsync();
        _ = redis.StartAsync();
        await Eventually.TrueAsync(async () => await AnswerAsync(redis, "PING") is var answer && answer.StartsWith("LOADING", StringComparison.Ordinal), "loading");
    }

    private static Task IsLoadedAsync(RedisServer redis) =>
        Eventually.TrueAsync(async () => await AnswerAsync(redis, "PING") == "PONG", "loaded");

    private static async Task LockAsync(RedisServer redis)
    {
        await redis.CommandAsync("CONFIG", "SET", "requirepass", Password);
        redis.Password = Password;
        await redis.CommandAsync("CLIENT", "KILL", "TYPE", "normal"); // those who are in stay in
    }

    private static async Task UnlockAsync(RedisServer redis)
    {
        await redis.CommandAsync("CONFIG", "SET", "requirepass", "");
        redis.Password = null;
    }

    private static Task WaitForInfoAsync(RedisServer redis, string line) =>
        Eventually.TrueAsync(async () => (await redis.CommandAsync("INFO")).Contains(line, StringComparison.Ordinal), line);

    /// <summary>Errors included.</summary>
    private static async Task<string> AnswerAsync(RedisServer redis, params string[] command)
    {
        try
        {
            return await redis.CommandAsync(command);
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or System.Net.Sockets.SocketException)
        {
            return e.Message;
        }
    }
}
