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

        Assert.Equal([key, null, $"{key}-unavailable", $"{key}-unavailable", $"{key}-late", $"{key}-wrong"], result.GetProperty("arrivals").EnumerateArray().Select(arrival => arrival.GetString()));
        var calls = result.GetProperty("calls").EnumerateArray().ToList();
        Assert.Equal("order 1 of tea", calls[0].GetProperty("answer").GetString());
        Assert.True(calls[1].TryGetProperty("code", out _), calls[1].ToString()); // an answer with trailers is not kept
        Assert.True(calls[2].TryGetProperty("code", out _), calls[2].ToString());
        Assert.Equal("order 2 of tea", calls[3].GetProperty("answer").GetString());

        // UNAVAILABLE frees the key, as a 503 does; DEADLINE_EXCEEDED is uncertain, as a 504 is; INVALID_ARGUMENT is an answer.
        Assert.Equal(14, calls[4].GetProperty("code").GetInt32());
        Assert.Equal("order 4 of unavailable", calls[5].GetProperty("answer").GetString());
        Assert.Equal(4, calls[6].GetProperty("code").GetInt32());
        Assert.NotEqual(4, calls[7].GetProperty("code").GetInt32());
        Assert.Equal(3, calls[8].GetProperty("code").GetInt32());
        Assert.True(calls[9].TryGetProperty("code", out _));
    }
}
