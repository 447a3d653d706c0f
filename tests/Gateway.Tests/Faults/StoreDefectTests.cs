using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>As <see cref="DefectTests"/>, for what a store has a part in.</summary>
public abstract class StoreDefectTests(FaultyStore store) : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    private string Config => GatewayConfig.Write(
        store.Section(store.Endpoint), new { brief = new { Lease = CrashScenario.Lease.ToString("c") } }, new GatewayRoute("/{**rest}", Backend.Url, "brief"));

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync();
        await store.StartAsync();
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
        await store.DisposeAsync();
    }

    [StoreTheory]
    [InlineData(null)]
    [InlineData("no-token-comparison")]
    public async Task OnlyTheOwnerWrites(string? defect)
    {
        await using var owner = await HookedGateway.StartAsync(Config, defect: defect);
        using var held = Backend.Hold();
        var running = PostAsync(owner.Url);
        await Backend.WaitForArrivalsAsync(1);

        // The store loses the record, and another owner claims the key.
        await store.GiveAwayAsync();
        held.Release();
        var first = await running;
        var duplicate = await PostAsync(owner.Url);

        Assert.Single(Backend.Ledger);
        var (isHarmless, saysSo) = (duplicate.ProblemType == "in-progress", first.Header("Idempotency-Status") == "not-recorded");
        Assert.Equal((defect is null, defect is null), (isHarmless, saysSo));
    }

    [StoreTheory]
    [InlineData(null)]
    [InlineData("lease-expiry-is-permission")]
    public async Task TheEndOfALeaseIsNoPermission(string? defect)
    {
        await using var other = await HookedGateway.StartAsync(Config, defect: defect);
        await using (var owner = await HookedGateway.StartAsync(Config, crashAt: "P5"))
        {
            await Assert.ThrowsAsync<HttpRequestException>(() => PostAsync(owner.Url));
        }

        var retry = await PostAsync(other.Url);
        await Eventually.TrueAsync(async () => (retry = await PostAsync(other.Url)).ProblemType != "in-progress", "the lease is over");

        Assert.Equal(defect is null ? 1 : 2, Backend.Ledger.Count);
        Assert.Equal(defect is null, retry.ProblemType == "outcome-uncertain");
    }

    [StoreTheory]
    [InlineData(null)]
    [InlineData("answer-before-settle")]
    public async Task AnAnswerThatTheStoreDoesNotHave_SaysSo(string? defect)
    {
        await using var gateway = await HookedGateway.StartAsync(Config, defect: defect);
        using var held = Backend.Hold();
        var running = PostAsync(gateway.Url);
        await Backend.WaitForArrivalsAsync(1);

        await store.PauseAsync();
        held.Release();
        var first = await running;

        Assert.Single(Backend.Ledger);
        Assert.Equal(201, first.Status);
        Assert.Equal(defect is null ? "not-recorded" : null, first.Header("Idempotency-Status"));
    }

    private Task<Answer> PostAsync(string url) =>
        KeyedRequests.PostAsync(_client, url + "/orders", _key, headers: [KeyValuePair.Create("Host", "api.example")]);
}

[OnRedis]
public sealed class RedisDefectTests() : StoreDefectTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresDefectTests() : StoreDefectTests(new FaultyPostgres());
