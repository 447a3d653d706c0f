using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A client that has its whole answer comes again at once, at another instance: its own last request does not hold the lock any more.
/// </summary>
public abstract class LockReleaseTests(FaultyStore? store) : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-lock-release-");
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess[] _gateways = [];

    public async Task InitializeAsync()
    {
        await (store?.StartAsync() ?? Task.CompletedTask);
        _backend = await ScriptedBackend.StartAsync();
        var config = GatewayConfig.Write(
            store?.Section(store.Endpoint) ?? new { Kind = "Embedded", Embedded = new { Path = Path.Combine(_directory.FullName, "shared.db") } },
            new
            {
                alone = new { Key = Array.Empty<string>(), Lock = new { On = "route:seat" } },
                keyed = new { Lock = new { On = "route:seat" } },
                streamed = new { Lock = new { On = "route:seat" }, Response = new { Delivery = "Streamed" } },
                tombstone = new { Lock = new { On = "route:seat" }, Response = new { MaxBodyBytes = 0 } },
            },
            new GatewayRoute("/alone/{seat}", _backend.Url, "alone"),
            new GatewayRoute("/keyed/{seat}", _backend.Url, "keyed"),
            new GatewayRoute("/streamed/{seat}", _backend.Url, "streamed"),
            new GatewayRoute("/tombstone/{seat}", _backend.Url, "tombstone"));
        _gateways = await Task.WhenAll(GatewayProcess.StartAsync(config), GatewayProcess.StartAsync(config));
        await Eventually.TrueAsync(async () => (await PostAsync(0, "/alone/warm")).Status == 201 && (await PostAsync(1, "/alone/warm")).Status == 201, "both serve");
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        foreach (var gateway in _gateways)
        {
            await gateway.DisposeAsync();
        }

        await (_backend?.DisposeAsync() ?? default);
        await (store?.DisposeAsync() ?? default);
        _directory.Delete(recursive: true);
    }

    [StoreTheory]
    [InlineData(200, "/alone/1", true)]
    [InlineData(200, "/alone/1", false)]
    [InlineData(1000, "/keyed/1", true)]
    [InlineData(200, "/streamed/1", true)]
    [InlineData(200, "/streamed/1", false)]
    [InlineData(200, "/tombstone/1", true)]
    public async Task AClientThatHasItsAnswer_NeverFindsTheLockTaken(int requests, string path, bool hasLength)
    {
        _backend!.Handler = async context =>
        {
            context.Response.StatusCode = StatusCodes.Status201Created;
            context.Response.ContentLength = hasLength ? 4 : null;
            await context.Response.WriteAsync("do");
            await context.Response.Body.FlushAsync();
            await context.Response.WriteAsync("ne");
        };
        var statuses = new List<string>();
        for (var i = 0; i < requests; i++)
        {
            var answer = await PostAsync(i % 2, path);
            statuses.Add($"{answer.Status} {answer.Text}");
        }

        Assert.Equal(["201 done"], statuses.Distinct());
    }

    private Task<Answer> PostAsync(int gateway, string path) => KeyedRequests.PostAsync(_client, _gateways[gateway].Url + path, EmbeddedGateway.NewKey(), headers: [KeyValuePair.Create("Host", "api.example")]);
}

/// <summary>Two processes on one file.</summary>
public sealed class EmbeddedLockReleaseTests() : LockReleaseTests(store: null);

[OnRedis]
public sealed class RedisLockReleaseTests() : LockReleaseTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresLockReleaseTests() : LockReleaseTests(new FaultyPostgres());
