using System.Collections.Concurrent;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Storage;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Three Sentinels, a master and its replica, in processes of their own.</summary>
public sealed class RedisSentinelTests : StoreFaults
{
    private const string Service = "orders";

    private RedisServer? _master;
    private RedisServer? _replica;

    public override async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            await base.InitializeAsync();
            _master = await RedisServer.StartOwnAsync("--repl-diskless-sync-delay", "0");
            _replica = await RedisServer.StartOwnAsync(["--replicaof", .. _master.Configuration.Split(':'), "--repl-diskless-sync-delay", "0"]);
            await Eventually.TrueAsync(
                async () => (await _replica.CommandAsync("INFO", "replication")).Contains("master_link_status:up", StringComparison.Ordinal), "replicated");
        }
    }

    public override async Task DisposeAsync()
    {
        await (_replica?.DisposeAsync() ?? default);
        await (_master?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [RedisFact(ownServer: true)]
    public async Task AFailoverUnderLoad_KeepsWhatWasReplicated_AndIsServedByItself()
    {
        await using var sentinels = await RedisSentinelGroup.StartAsync(Service, _master!.Configuration);
        await using var gateway = await StartConnectedGatewayAsync(Store(sentinels.Configuration));
        await using var neighbour = await StartConnectedGatewayAsync(Store(sentinels.Configuration));
        var answered = new ConcurrentDictionary<string, Answer>();
        var isOver = false;
        var load = Enumerable.Range(0, 8).Select(worker => LoadAsync(worker % 2 == 0 ? gateway : neighbour)).ToArray();
        await Eventually.TrueAsync(() => answered.Count > 200, "load");
        var replicated = await ReplicatedAsync(answered);

        await _master.StopAsync();
        await Eventually.TrueAsync(async () => await sentinels.MasterAsync() == _replica!.Configuration, "failed over");
        var before = answered.Count;
        await Eventually.TrueAsync(() => answered.Count > before + 50, "served by the new master", TimeSpan.FromSeconds(15));

        // The former master comes back and takes itself for one: nothing may go there.
        await _master.StartAsync();
        await Eventually.TrueAsync(
            async () => (await _master.CommandAsync("INFO", "replication")).Contains("role:slave", StringComparison.Ordinal), "the former master was made a replica");
        before = answered.Count;
        await Eventually.TrueAsync(() => answered.Count > before + 50, "still served", TimeSpan.FromSeconds(15));
        isOver = true;
        await Task.WhenAll(load);

        Assert.True(replicated.Count > 100);
        foreach (var (key, first) in replicated.Take(100))
        {
            await AssertReplayedAsync(first, neighbour, key);
        }

        Assert.All(answered.Keys, key => Assert.Single(Backend.ArrivalsFor(key)));

        async Task LoadAsync(GatewayProcess at)
        {
            while (!Volatile.Read(ref isOver))
            {
                var key = EmbeddedGateway.NewKey();
                var answer = await PostAsync(at, key);
                if (answer.Status == 201)
                {
                    answered[key] = answer;
                }
                else
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(20));
                }
            }
        }
    }

    [RedisFact(ownServer: true)]
    public async Task APlannedFailover_IsFollowed()
    {
        await using var sentinels = await RedisSentinelGroup.StartAsync(Service, _master!.Configuration);
        await using var gateway = await StartConnectedGatewayAsync(Store(sentinels.Configuration));
        var first = await PostAsync(gateway, Key);

        Assert.Equal("OK", await sentinels.CommandAsync("SENTINEL", "FAILOVER", Service));
        await Eventually.TrueAsync(async () => await sentinels.MasterAsync() == _replica!.Configuration, "failed over");

        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());
        await AssertReplayedAsync(first, gateway, Key);
    }

    [RedisFact(ownServer: true)]
    public async Task WhatIsWrong_IsNamed()
    {
        await using var sentinels = await RedisSentinelGroup.StartAsync(Service, _master!.Configuration);
        await RedisDoor.AssertRefusedAsync(By(sentinels.Configuration, "payments"), "it knows no service payments");
        await RedisDoor.AssertRefusedAsync(By(_master.Configuration, Service), "it is no Sentinel");
        await RedisDoor.AssertRefusedAsync(By($"127.0.0.1:{LoopbackPorts.Reserve()}", Service), "connection refused");
    }

    [RedisFact(ownServer: true)]
    public async Task ASentinelThatWantsAPassword_IsNamed_AndGetsItsOwn()
    {
        await using var sentinels = await RedisSentinelGroup.StartAsync(Service, _master!.Configuration, "requirepass only-S3cr3t");
        var settings = By(sentinels.Configuration, Service);

        await RedisDoor.AssertRefusedAsync(settings, "NOAUTH, the server asks for a password, and none is configured");
        await RedisDoor.AssertRefusedAsync(
            settings with { Sentinel = settings.Sentinel with { Login = new() { Password = new SecretText("wrong-S3cr3t") } } }, "WRONGPASS", "wrong-S3cr3t");
        await RedisDoor.AssertServesAsync(settings with { Sentinel = settings.Sentinel with { Login = new() { Password = new SecretText("only-S3cr3t") } } });
    }

    private static object Store(string sentinels) => new
    {
        Kind = "Redis",
        Redis = new { Configuration = sentinels, Sentinel = new { ServiceName = Service } },
    };

    private static RedisStoreSettings By(string sentinels, string service) =>
        new() { Configuration = sentinels, Sentinel = new() { ServiceName = service } };

    /// <summary>What was answered, once the replica has it.</summary>
    private async Task<IReadOnlyDictionary<string, Answer>> ReplicatedAsync(ConcurrentDictionary<string, Answer> answered)
    {
        var until = answered.ToDictionary();
        var offset = Offset(await _master!.CommandAsync("INFO", "replication"));
        await Eventually.TrueAsync(async () => Offset(await _replica!.CommandAsync("INFO", "replication")) >= offset, "replicated");
        return until;

        static long Offset(string info) => long.Parse(
            info.Split('\n').First(line => line.StartsWith("slave_repl_offset:", StringComparison.Ordinal) || line.StartsWith("master_repl_offset:", StringComparison.Ordinal))
                .Split(':')[1].Trim(), System.Globalization.CultureInfo.InvariantCulture);
    }
}
