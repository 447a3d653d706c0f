using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>
/// The same contract for a user with exactly the rights that docs/operations.md lists, word for word. A command that the store begins to
/// use, and that is not in that rule, fails here.
/// </summary>
[OnRedis]
public sealed class RedisAclStoreTests(RedisAclServer server) : StoreContractTests, IClassFixture<RedisAclServer>
{
    protected override int HistoryCount => 150;

    /// <summary>From the first connection on: claims, an announcement that is waited for, a sweep, a deletion.</summary>
    [RedisFact(ownServer: true)]
    public async Task NothingIsDenied()
    {
        await server.Redis.CommandAsync("ACL", "LOG", "RESET");
        await using var store = await OpenAsync(TimeProvider.System);
        var claim = NewClaim() with { Probe = new byte[] { 1 } };
        var isHeard = new TaskCompletionSource();
        store.Changed += _ => isHeard.TrySetResult();
        await store.ClaimAsync(claim, default);
        await store.WatchAsync(claim.Id, default);
        await store.MarkUncertainAsync(claim, default);
        await isHeard.Task.WaitAsync(Bounds.Wait);
        await store.FindUncertainAsync(10, default);
        await store.WalkUncertainAsync(10, default);
        await store.ForgetAsync(claim.Id, default);

        Assert.Equal("", await server.Redis.CommandAsync("ACL", "LOG"));
    }

    /// <summary>As an administrator wrote it before there was a use for SCAN.</summary>
    [RedisFact(ownServer: true)]
    public async Task AUserWhoMayNotScan_IsToldSo_AndDoesEverythingElse()
    {
        var log = new FakeLogger<RedisStore>();
        await server.Redis.CommandAsync([.. RedisAclServer.Rule.Select(word => word == "gateway" ? "older" : word).Where(word => word != "+scan")]);
        await using var store = await RedisStores.OpenAsync(server.Settings with { Login = server.Settings.Login with { User = "older" } }, log);
        var claim = NewClaim();
        await store.ClaimAsync(claim, default);
        await store.MarkUncertainAsync(claim, default);

        for (var calls = 0; calls < 3; calls++)
        {
            await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.WalkUncertainAsync(10, default));
        }

        Assert.Single(log.Collector.GetSnapshot(), line => line.Id.Id == 2004 && line.Message.Contains("SCAN", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Collector.GetSnapshot(), line => line.Level >= LogLevel.Warning && line.Id.Id != 2004);
        Assert.Equal(ClaimState.Uncertain, (await store.WatchAsync(claim.Id, default))?.State);
    }

    [RedisFact(ownServer: true)]
    public async Task TheUser_ReachesNothingElse()
    {
        Assert.StartsWith("NOPERM", await server.AskAsUserAsync("GET", "other:key"), StringComparison.Ordinal);
        Assert.StartsWith("NOPERM", await server.AskAsUserAsync("FLUSHALL"), StringComparison.Ordinal);
        Assert.StartsWith("NOPERM", await server.AskAsUserAsync("CONFIG", "GET", "*"), StringComparison.Ordinal);
        Assert.StartsWith("NOPERM", await server.AskAsUserAsync("SUBSCRIBE", "other"), StringComparison.Ordinal);
    }

    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => RedisStores.OpenPatientAsync(server.Settings, clock);
}

/// <summary>A server with the documented user.</summary>
public sealed class RedisAclServer : IAsyncLifetime
{
    private const string Password = "only-for-the-gateway";

    private RedisServer? _redis;

    public RedisServer Redis => _redis!;

    /// <summary>The rule of docs/operations.md, with a password.</summary>
    internal static string[] Rule { get; } =
        [.. RepositoryFiles.Read("docs/operations.md").Split('\n').First(line => line.StartsWith("ACL SETUSER gateway on", StringComparison.Ordinal))
            .Replace("PASSWORD", Password, StringComparison.Ordinal).Split(' ')];

    internal RedisStoreSettings Settings => new()
    {
        Configuration = Redis.Configuration,
        Login = new RedisLogin { User = "gateway", Password = new SecretText(Password) },
    };

    public async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            _redis = await RedisServer.StartOwnAsync();
            await _redis.CommandAsync(Rule);
        }
    }

    public async Task DisposeAsync() => await (_redis?.DisposeAsync() ?? default);

    /// <summary>The server's answer, errors included.</summary>
    public async Task<string> AskAsUserAsync(params string[] command)
    {
        using var knock = await RedisKnock.OpenAsync(RedisAddresses.EndPointsOf(Redis.Configuration)[0], tls: null, default);
        Assert.Equal("OK", await knock.AskAsync(default, "AUTH", "gateway", Password));
        return await knock.AskAsync(default, command) is RedisReplyError error ? error.Text : "allowed";
    }
}
