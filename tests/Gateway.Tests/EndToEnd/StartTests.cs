using System.Text.Json;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What a gateway says that cannot start, and in what form it says things.</summary>
public sealed class StartTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-start-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task ASecondInstance_IsToldWhichAddressesAreTaken_AndWhatToWrite()
    {
        var admin = $"http://127.0.0.1:{LoopbackPorts.Reserve()}";
        await using var first = await GatewayProcess.StartAsync("{}", new Dictionary<string, string> { ["Admin__Urls"] = admin });
        var config = Path.Combine(_directory.FullName, "routes.json");
        await File.WriteAllTextAsync(config, $$"""{ "Store": { "Embedded": { "Path": "{{_directory.FullName}}/keys.db" } }, "Admin": { "Urls": "{{admin}}" } }""");

        var (exitCode, output, errors) = await GatewayProcess.RunToEndAsync("run", "--config", config, "--urls", first.Url);

        Assert.Equal(1, exitCode);
        var lines = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.StartsWith($"The gateway cannot start: Admin:Urls = {admin}: the address is in use", lines[0], StringComparison.Ordinal);
        Assert.Contains("Admin__Urls=", lines[0], StringComparison.Ordinal);
        Assert.StartsWith($"The gateway cannot start: --urls {first.Url}: the address is in use", lines[1], StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output + errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ARefusedConnection_IsOneLine_WithDateAndZone()
    {
        var nobody = $"http://127.0.0.1:{LoopbackPorts.Reserve()}";
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/orders", nobody)),
            new Dictionary<string, string> { ["Logging__LogLevel__Yarp.ReverseProxy.Forwarder"] = "Debug" });
        using var client = KeyedRequests.NewClient();

        Assert.Equal(502, (await KeyedRequests.PostAsync(client, gateway.Url + "/orders", EmbeddedGateway.NewKey())).Status);

        var line = await gateway.Output.WaitForAsync(line => line.Contains("Connection refused", StringComparison.Ordinal));
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (info|warn|dbug): ", line);
        Assert.DoesNotContain(gateway.Output, line => line.Contains("   at ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task TheConsolesFormat_IsTheFilesToChoose()
    {
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/orders", "http://127.0.0.1:9/")),
            new Dictionary<string, string> { ["Logging__Console__FormatterName"] = "json" });
        using var client = KeyedRequests.NewClient();

        Assert.Equal(400, (await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key: null)).Status);

        var line = await gateway.Output.WaitForAsync(line => line.Contains("key-missing", StringComparison.Ordinal));
        var logged = JsonDocument.Parse(line).RootElement;
        Assert.Equal(1011, logged.GetProperty("EventId").GetInt32());
        Assert.Matches(@"^\d{4}-\d\d-\d\dT", logged.GetProperty("Timestamp").GetString());
    }
}
