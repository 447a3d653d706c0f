using System.Net.Sockets;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>SIGTERM while the backend works.</summary>
public sealed class DrainTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    private ScriptedBackend Backend => _backend!;

    private GatewayProcess Gateway => _gateway!;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync();
        _gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", _backend.Url)),
            new Dictionary<string, string> { ["ShutdownGrace"] = "00:00:02" });
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task ABackendThatAnswersInTime_IsRecordedAndPassedOn()
    {
        using var held = Backend.Hold();
        var running = PostAsync();
        await Backend.WaitForArrivalsAsync(1);

        var exit = Gateway.TerminateAsync();
        await Eventually.TrueAsync(IsRefusingConnectionsAsync, "draining");
        held.Release();
        var first = await running;
        Assert.Equal(0, await exit);
        await Gateway.StartAgainAsync();
        var retry = await PostAsync();

        Assert.Single(Backend.Ledger);
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task ABackendThatIsTooSlow_LeavesTheKeyUncertain_AndTheClientIsTold()
    {
        using var held = Backend.Hold();
        var running = PostAsync();
        await Backend.WaitForArrivalsAsync(1);

        var exit = await Gateway.TerminateAsync();
        var first = await running;
        await Gateway.StartAgainAsync();
        var retry = await PostAsync();

        Assert.Single(Backend.Ledger);
        Assert.Equal(0, exit);
        Expect.Problem(504, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }

    [Fact]
    public async Task ARequestMayUseTheWholeGracePeriod()
    {
        // Longer than the two seconds after which a command line library would end the process by itself.
        var stillRunning = TimeSpan.FromSeconds(4);
        await using var patient = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", Backend.Url)),
            new Dictionary<string, string> { ["ShutdownGrace"] = "00:00:20" });
        using var held = Backend.Hold();
        var running = KeyedRequests.PostAsync(_client, patient.Url + "/x", _key);
        await Backend.WaitForArrivalsAsync(1);

        var exit = patient.TerminateAsync();
        await Task.Delay(stillRunning);
        Assert.False(exit.IsCompleted);
        held.Release();

        Assert.Equal(201, (await running).Status);
        Assert.Equal(0, await exit);
    }

    private async Task<bool> IsRefusingConnectionsAsync()
    {
        try
        {
            await using var connection = await RawClient.ConnectAsync(Gateway.Url);
            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    private Task<Answer> PostAsync() =>
        KeyedRequests.PostAsync(_client, Gateway.Url + "/orders", _key, headers: [KeyValuePair.Create("Host", "api.example")]);
}
