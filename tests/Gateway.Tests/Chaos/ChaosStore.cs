using System.Text;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>The store of a run: how gateways reach it, what can go wrong with it, and what it holds in the end.</summary>
internal abstract class ChaosStore : IAsyncDisposable
{
    /// <summary>Where each gateway's own link leads; null when gateways have none.</summary>
    public virtual string? Endpoint => null;

    /// <summary>Links that all gateways share.</summary>
    public virtual IReadOnlyList<(string Name, TcpProxy Link)> Links => [];

    /// <summary>For the gateways, beside their configuration.</summary>
    public virtual IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>();

    public static ChaosStore Create(string name) => name switch
    {
        "redis" => new RedisChaosStore(),
        "cluster" => new ClusterChaosStore(),
        "postgres" => new PostgresChaosStore(),
        "embedded" => new EmbeddedChaosStore(),
        _ => throw new ArgumentException($"no such store: {name}; redis, cluster, postgres or embedded"),
    };

    public virtual Task StartAsync() => Task.CompletedTask;

    /// <summary>The section <c>Store</c>.</summary>
    /// <param name="endpoint">The gateway's own link.</param>
    public abstract object Section(string? endpoint);

    /// <summary>Something that befalls the store's own processes; null when it has none.</summary>
    public virtual Fault? Draw(Dice dice) => null;

    /// <summary>The secret of record ids.</summary>
    public abstract Task<byte[]> SecretAsync();

    /// <summary>All that the store holds, as text in which a character is a byte, and what is wrong with it.</summary>
    public abstract Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(IReadOnlyList<GatewayNode> nodes);

    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>All keys and values of a Redis, and its keys that never expire although they are records.</summary>
    protected static async Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(Func<string[], Task<string>> command)
    {
        const string everything = """
            local all = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              table.insert(all, 'key ' .. key .. ' ' .. redis.call('PTTL', key))
              if redis.call('TYPE', key).ok == 'hash' then
                for _, text in ipairs(redis.call('HGETALL', key)) do table.insert(all, text) end
              end
            end
            return all
            """;
        var content = await command(["EVAL", everything, "0"]);
        return (content, [.. content.Split('\n')
            .Where(line => line.StartsWith("key ", StringComparison.Ordinal) && line.EndsWith(" -1", StringComparison.Ordinal))
            .Where(line => line.Split(' ')[1] is var key && key != "idem:secret" && !key.EndsWith(":marks", StringComparison.Ordinal))
            .Select(line => $"the store keeps for ever: {line}")]);
    }

    /// <summary>One Redis that syncs every write to its file, so that it keeps what it acknowledged.</summary>
    private sealed class RedisChaosStore : ChaosStore
    {
        private RedisServer? _server;

        public override string Endpoint => Server.Configuration;

        private RedisServer Server => _server!;

        public override async Task StartAsync() => _server = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");

        public override object Section(string? endpoint) => GatewayConfig.Redis(endpoint!);

        public override Fault Draw(Dice dice) => dice.Chance(60)
            ? new Fault("redis-pause", "redis", dice.Milliseconds(200, 3000), Server.PauseAsync, Server.ResumeAsync)
            : new Fault("redis-kill", "redis", dice.Milliseconds(50, 2000), Server.StopAsync, Server.StartAsync);

        public override async Task<byte[]> SecretAsync() => Encoding.Latin1.GetBytes(await Server.CommandAsync("GET", "idem:secret"));

        public override Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(IReadOnlyList<GatewayNode> nodes) => DumpAsync(Server.CommandAsync);

        public override async ValueTask DisposeAsync()
        {
            await (_server?.DisposeAsync() ?? default);
            await base.DisposeAsync();
        }
    }

    /// <summary>The gateway's own file.</summary>
    private sealed class EmbeddedChaosStore : ChaosStore
    {
        private const string Secret = "a secret of the chaos runs, not of anyone else";

        public override IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string> { ["Idempotency__Secret"] = Secret };

        public override object Section(string? endpoint) => GatewayConfig.Embedded;

        public override Task<byte[]> SecretAsync() => Task.FromResult(Encoding.UTF8.GetBytes(Secret));

        public override async Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(IReadOnlyList<GatewayNode> nodes)
        {
            var content = new StringBuilder();
            foreach (var file in nodes.SelectMany(node => Directory.EnumerateFiles(Path.Combine(node.Process.WorkingDirectory, "data"))))
            {
                content.Append(await File.ReadAllTextAsync(file, Encoding.Latin1));
            }

            return (content.ToString(), []);
        }
    }
}
