using System.Globalization;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Clients;

/// <summary>grpc-js on both sides: unary calls over HTTP/2 without TLS.</summary>
public sealed class GrpcTests
{

    [NodeFact]
    public async Task AKeyedCall_RunsOnce()
    {
        var backendPort = LoopbackPorts.Reserve().ToString(CultureInfo.InvariantCulture);
        var key = EmbeddedGateway.NewKey();
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { grpc = new { Mode = "Optional" } }, new GatewayRoute("/{**rest}", $"http://127.0.0.1:{backendPort}", "grpc", HttpVersion: "2")),
            new Dictionary<string, string> { ["Kestrel__EndpointDefaults__Protocols"] = "Http2" });

        var result = await NodeClients.RunAsync("grpc.mjs", new Uri(gateway.Url).Port.ToString(CultureInfo.InvariantCulture), backendPort, key);

        Assert.Equal([key, null], result.GetProperty("arrivals").EnumerateArray().Select(arrival => arrival.GetString()));
        var calls = result.GetProperty("calls").EnumerateArray().ToList();
        Assert.Equal("order 1 of tea", calls[0].GetProperty("answer").GetString());
        Assert.True(calls[1].TryGetProperty("code", out _), calls[1].ToString()); // an answer with trailers is not kept
        Assert.True(calls[2].TryGetProperty("code", out _), calls[2].ToString());
        Assert.Equal("order 2 of tea", calls[3].GetProperty("answer").GetString());
    }
}
