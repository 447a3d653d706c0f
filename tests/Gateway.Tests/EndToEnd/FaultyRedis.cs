using System.Globalization;
using Gateway.Tests.Support;

namespace Gateway.Tests.EndToEnd;

/// <summary>A Redis, which is empty when it comes back, unless the settings say otherwise.</summary>
/// <param name="settings">More of redis-server's command line.</param>
public sealed class FaultyRedis(params string[] settings) : FaultyStore
{
    private readonly RedisProcess _server = new(settings);

    public override string Endpoint => _server.Endpoint;

    /// <summary>One that keeps what it acknowledged, as PostgreSQL does.</summary>
    public static FaultyRedis Durable() => new("--appendonly", "yes", "--appendfsync", "always");

    public override object Section(string endpoint) => GatewayConfig.Redis(endpoint);

    public override Task StartAsync() => _server.StartAsync();

    public override Task StopAsync() => _server.StopAsync();

    public override Task PauseAsync() => _server.PauseAsync();

    public override Task ResumeAsync() => _server.ResumeAsync();

    public override async Task<long> CountRecordsAsync() => long.Parse(await _server.CommandAsync("DBSIZE"), CultureInfo.InvariantCulture);

    public override Task GiveAwayAsync() => _server.CommandAsync(
        "EVAL", "for _, key in ipairs(redis.call('KEYS', '*')) do if redis.call('TYPE', key).ok == 'hash' then redis.call('HSET', key, 't', '0123456789abcdef') end end", "0");

    public override async Task<DateTimeOffset> ReadClockAsync() =>
        DateTimeOffset.FromUnixTimeSeconds(long.Parse((await _server.CommandAsync("TIME")).Split('\n')[0], CultureInfo.InvariantCulture));

    public override ValueTask DisposeAsync() => _server.DisposeAsync();

    internal override void LiveBy(FakeClock clock) => _server.Environment = clock.Environment;
}
