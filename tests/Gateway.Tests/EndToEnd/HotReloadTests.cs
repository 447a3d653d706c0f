using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>The configuration file of a running gateway is changed.</summary>
public sealed class HotReloadTests : IAsyncLifetime
{
    /// <summary>The file is looked at every second.</summary>
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    private ScriptedBackend Backend => _backend!;

    private GatewayProcess Gateway => _gateway!;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync();
        _gateway = await GatewayProcess.StartAsync(ConfigWith("Optional"));
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task ANewPolicyAndANewRoute_AreInForceSoon_AndKeysAreKept()
    {
        var key = EmbeddedGateway.NewKey();
        var first = await PostAsync("/orders", key);
        Assert.Equal(201, (await PostAsync("/orders", key: null)).Status);
        Assert.Equal(404, (await PostAsync("/new/1", key)).Status);

        await ReplaceFileAsync(ConfigWith("Required", new GatewayRoute("/new/{**rest}", Backend.Url, "mine")));

        await Eventually.TrueAsync(async () => (await PostAsync("/orders", key: null)).ProblemType == "key-missing", "the key is required", Soon);
        Expect.Problem(400, "key-missing", await PostAsync("/new/1", key: null));
        var other = EmbeddedGateway.NewKey();
        Assert.Equal(201, (await PostAsync("/new/1", other)).Status);
        Assert.True((await PostAsync("/new/1", other)).IsReplay);
        Assert.Single(Backend.ArrivalsFor(other));
        Expect.Replay(first, await PostAsync("/orders", key));
        Assert.Single(Backend.ArrivalsFor(key));
    }

    [Theory]
    [InlineData("{ this is not JSON")]
    [InlineData("""{ "Idempotency": { "Policies": { "mine": { "Mode": "Sometimes" } } } }""")]
    public async Task AWrongFile_IsAnError_AndTheOldConfigurationStays(string wrong)
    {
        await ReplaceFileAsync(wrong);

        await Gateway.Output.WaitForAsync(line => line.Contains("fail:", StringComparison.Ordinal)
            && line.Contains("the old configuration stays in force", StringComparison.Ordinal));
        var key = EmbeddedGateway.NewKey();
        Assert.Equal(201, (await PostAsync("/orders", key)).Status);
        Assert.True((await PostAsync("/orders", key)).IsReplay);
        Assert.Single(Backend.ArrivalsFor(key));
        Assert.Equal(201, (await PostAsync("/orders", key: null)).Status);
    }

    [Fact]
    public async Task ARequestInFlight_KeepsItsPolicy_WhenTheFileChanges()
    {
        var key = EmbeddedGateway.NewKey();
        using var held = Backend.Hold();
        var running = PostAsync("/orders", key);
        await Backend.WaitForArrivalsAsync(1);

        await ReplaceFileAsync(ConfigWith("Required"));
        await Gateway.Output.WaitForAsync(line => line.Contains("Reloaded", StringComparison.Ordinal));
        Expect.InProgress(await PostAsync("/orders", key));
        held.Release();
        var first = await running;

        Assert.Single(Backend.ArrivalsFor(key));
        Assert.Equal(201, first.Status);
        Expect.Replay(first, await PostAsync("/orders", key));
    }

    private string ConfigWith(string mode, params GatewayRoute[] more) =>
        GatewayConfig.Write(GatewayConfig.Embedded, new { mine = new { Mode = mode } }, [new GatewayRoute("/orders", Backend.Url, "mine"), .. more]);

    /// <summary>By renaming, so that the gateway never sees half a file.</summary>
    private async Task ReplaceFileAsync(string content)
    {
        var file = Path.Combine(Gateway.WorkingDirectory, "routes.json");
        Assert.True(File.Exists(file));
        await File.WriteAllTextAsync(file + ".new", content);
        File.Move(file + ".new", file, overwrite: true);
    }

    private Task<Answer> PostAsync(string path, string? key) => KeyedRequests.PostAsync(_client, Gateway.Url + path, key);
}
