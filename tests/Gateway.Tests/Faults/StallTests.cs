using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// The owner of a claim does not get a thread for a while: its renewals are late. Another gateway on the same store looks on. Nothing is
/// sent again, and the answer is recorded when the threads are back.
/// </summary>
public abstract class StallTests(FaultyStore store) : IAsyncLifetime
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
        await store.DisposeAsync();
    }

    [StoreTheory]
    [InlineData(9, 4, "in-progress")] // renewed every 3 s
    [InlineData(2, 5, "outcome-uncertain")]
    public async Task AStalledOwner_LosesItsLeaseAtItsEndAndNotBefore_AndRecordsTheAnswerAfterwards(int lease, int stall, string stateAfterIt)
    {
        await store.StartAsync();
        var config = GatewayConfig.Write(
            store.Section(store.Endpoint),
            new { brief = new { Lease = TimeSpan.FromSeconds(lease).ToString("c") } },
            new GatewayRoute("/{**rest}", Backend.Url, "brief"));
        await using var owner = await HookedGateway.StartAsync(config, stall: TimeSpan.FromSeconds(stall));
        await using var other = await GatewayProcess.StartAsync(config);
        using var held = Backend.Hold();
        var running = PostAsync(owner.Url);
        await Backend.WaitForArrivalsAsync(1);

        await Signals.SendAsync(owner.Pid, "WINCH");
        await owner.Output.WaitForAsync(line => line == "Stalled.");
        var states = new List<string?>();
        while (!owner.Output.Contains("Stall over."))
        {
            states.Add((await PostAsync(other.Url)).ProblemType);
            await Task.Delay(Pause);
        }

        held.Release();
        var first = await running;

        Assert.Single(Backend.Ledger);
        Assert.Equal("in-progress", states[0]);
        // In progress again for the last look, perhaps, because the owner renews as soon as it can.
        Assert.Equal(((string[])["in-progress", stateAfterIt]).Distinct(), states.Distinct());
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        Expect.Replay(first, await PostAsync(other.Url));
        Assert.Single(Backend.Ledger);
    }

    private Task<Answer> PostAsync(string url) =>
        KeyedRequests.PostAsync(_client, url + "/orders", _key, headers: [KeyValuePair.Create("Host", "api.example")]);
}

[OnRedis]
public sealed class RedisStallTests() : StallTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresStallTests() : StallTests(new FaultyPostgres());
