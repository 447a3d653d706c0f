using Gateway.Tests.Storage;
using Gateway.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace Gateway.Tests.Library;

/// <summary>A host with a store of its own (<c>UseStore</c>).</summary>
public sealed class OwnStoreTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
    }

    [Fact]
    public async Task FirstAndRetry_ReachTheBackendOnce()
    {
        await using var host = await StartAsync();

        var first = await KeyedRequests.PostAsync(_client, $"{host.Url}/orders/1", "\"k1\"");
        var replay = await KeyedRequests.PostAsync(_client, $"{host.Url}/orders/1", "\"k1\"");
        var other = await KeyedRequests.PostAsync(_client, $"{host.Url}/orders/1", "\"k1\"", """{"other":1}""");

        Assert.Single(Backend.Ledger);
        Assert.Equal((201, first.Text, true), (replay.Status, replay.Text, replay.IsReplay));
        Assert.Equal("key-reused", other.ProblemType);
    }

    [Fact]
    public async Task ASecondStore_IsRefused()
    {
        var e = await Assert.ThrowsAsync<InvalidOperationException>(() => YarpHost.StartAsync(Backend.Url, store: builder => builder.UseSqlite("unused.db").UseStore<MemoryStore>()));

        Assert.Contains("UseStore", e.Message, StringComparison.Ordinal);
    }

    /// <summary>A lease must outlive a slow renewal.</summary>
    [Fact]
    public async Task AStoreThatIsSlowerThanLeasesAllow_KeepsTheHostFromStarting()
    {
        var e = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(TimeSpan.FromSeconds(16)));

        Assert.Contains("Lease", e.Message, StringComparison.Ordinal);
    }

    private Task<YarpHost> StartAsync(TimeSpan? timeout = null) => YarpHost.StartAsync(Backend.Url, store: builder =>
    {
        builder.Services.AddSingleton(new MemoryStore.Database(TimeProvider.System));
        builder.UseStore<MemoryStore>(timeout);
    });
}
