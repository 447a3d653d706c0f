using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Gateway.Tests.Telemetry;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>A gateway is killed while the backend works. Nobody retries, and still an operator is told which key is uncertain, and how many are.</summary>
public abstract class KilledGatewayTests(FaultyStore? store) : StoreFaults
{
    private const string Event = "[1014]";
    private const string Brief = "/brief";

    public override async Task DisposeAsync()
    {
        await (store?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [StoreFact]
    public async Task ItsUncertainKey_IsInTheLogOnce_AndInAGauge_WithoutARetry()
    {
        await using var collector = await OtlpReceiver.StartAsync();
        var environment = new Dictionary<string, string>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.GrpcUrl,
            ["OTEL_TRACES_EXPORTER"] = "none",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "500",
        };
        await (store?.StartAsync() ?? Task.CompletedTask);
        var section = store?.Section(store.Endpoint) ?? GatewayConfig.Embedded;
        await using var killed = await StartConnectedGatewayAsync(section, environment);
        await using var other = store is null ? null : await StartConnectedGatewayAsync(section, environment);
        using var held = Backend.Hold();
        var running = PostAsync(killed, Key, Brief);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await killed.KillAsync();
        held.Release();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        if (store is null)
        {
            await killed.StartAgainAsync();
        }

        // On a file of its own it is the one that comes back who tells, elsewhere anybody.
        var teller = other ?? killed;
        await teller.Output.WaitForAsync(line => line.Contains(Event, StringComparison.Ordinal));
        await Eventually.TrueAsync(() => collector.Points.Any(point => point.Metric == "gateway.idempotency.uncertain_records" && point.Value == 1), "it is in the gauge");
        await Task.Delay(TimeSpan.FromSeconds(3)); // more rounds, which must not tell again

        var told = Assert.Single(teller.Output, line => line.Contains(Event, StringComparison.Ordinal));
        var retry = await PostUntilServedAsync(teller, Key, Brief);
        Expect.Problem(409, "outcome-uncertain", retry);
        Assert.Contains(retry.Problem!.Value.GetProperty("instance").GetString()![^8..], told, StringComparison.Ordinal);
        Assert.Single(Backend.ArrivalsFor(Key));
    }
}

public sealed class EmbeddedKilledGatewayTests() : KilledGatewayTests(store: null);

[OnRedis]
public sealed class RedisKilledGatewayTests() : KilledGatewayTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresKilledGatewayTests() : KilledGatewayTests(new FaultyPostgres());
