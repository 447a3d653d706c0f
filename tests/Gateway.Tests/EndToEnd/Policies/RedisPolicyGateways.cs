using System.Globalization;
using System.Text;
using Gateway.Tests.Storage;
using Gateway.Tests.Support;
using Idempotency.Storage;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Two gateways on a Redis of their own.</summary>
public class RedisPolicyGateways : PolicyGateways
{
    private RedisServer? _redis;

    public RedisServer Redis => _redis!;

    protected override int Count => 2;

    protected override bool IsUsable => RedisInstallation.IsUsable(ownServer: true);

    protected override object StoreSection => GatewayConfig.Redis(Redis.Configuration);

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await (_redis?.DisposeAsync() ?? default);
    }

    /// <summary>How many steps of the gateways the server has executed: each is one script.</summary>
    public async Task<int> CountOperationsAsync()
    {
        var statistics = await Redis.CommandAsync("INFO", "commandstats");
        return statistics.Split('\n').Where(line => line.StartsWith("cmdstat_eval", StringComparison.Ordinal))
            .Sum(line => int.Parse(line.Split("calls=")[1].Split(',')[0], CultureInfo.InvariantCulture));
    }

    public override async Task<IAsyncDisposable> SuspendStoreAsync()
    {
        await Redis.PauseAsync();
        return new Pause(Redis);
    }

    public override async Task<IReadOnlyDictionary<string, byte[]>> ReadAnswersAsync()
    {
        var answers = new Dictionary<string, byte[]>();
        foreach (var record in await RecordsAsync())
        {
            if (await Redis.CommandAsync("HGET", record, "a") is not "(nil)" and var answer)
            {
                answers[record] = Encoding.Latin1.GetBytes(answer);
            }
        }

        return answers;
    }

    public override Task WriteAnswerAsync(string record, byte[] answer) => Redis.CommandAsync("HSET", record, "a", Encoding.Latin1.GetString(answer));

    public override async Task<string> ReadAllAsync()
    {
        var all = new StringBuilder();
        foreach (var record in await RecordsAsync())
        {
            all.AppendLine(record).AppendLine(await Redis.CommandAsync("HGETALL", record));
        }

        return all.ToString();
    }

    internal override Task<IIdempotencyStore> OpenStoreAsync() => RedisStores.OpenAsync(Redis.Configuration);

    protected override async Task StartStoreAsync() => _redis = await RedisServer.StartOwnAsync();

    private async Task<IEnumerable<string>> RecordsAsync() =>
        (await Redis.CommandAsync("KEYS", "idem:{b*")).Split('\n').Where(name => name.Length > 0 && !name.EndsWith(":open", StringComparison.Ordinal));

    private sealed class Pause(RedisServer redis) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await redis.ResumeAsync();
    }
}
