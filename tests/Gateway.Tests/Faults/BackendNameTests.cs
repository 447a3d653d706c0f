using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The backend's name leads nowhere (RFC 6761, section 6.4, keeps <c>.invalid</c> free of names).</summary>
public sealed class BackendNameTests
{
    [Fact]
    public async Task ABackendWhoseNameIsNotKnown_LeavesTheKeyFree()
    {
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", "http://backend.invalid:8080")));
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();

        Expect.Problem(502, "backend-unreachable", await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key));
        Expect.Problem(502, "backend-unreachable", await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key));
    }
}
