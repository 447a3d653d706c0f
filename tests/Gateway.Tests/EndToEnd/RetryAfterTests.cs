using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>When a duplicate is told to come again: when requests of this route usually have ended, whatever the lease is.</summary>
public sealed class RetryAfterTests
{
    [Fact]
    public async Task ItFollowsWhatRequestsOfTheRouteTake()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded,
            new { locked = new { Key = Array.Empty<string>(), Lock = new { On = "query:seat" } } },
            new GatewayRoute("/slow", backend.Url),
            new GatewayRoute("/quick", backend.Url),
            new GatewayRoute("/locked", backend.Url, "locked")));
        using var client = KeyedRequests.NewClient();
        backend.Handler = async context =>
        {
            await Task.Delay(context.Request.Path == "/quick" ? 10 : 2500);
            await backend.AnswerCreatedAsync(context);
        };

        Assert.Equal(["1", "1", "1"], await Task.WhenAll(((string[])["/slow", "/quick", "/locked"]).Select(InFlightAsync))); // nothing is known yet
        var known = await Task.WhenAll(((string[])["/slow", "/quick", "/locked"]).Select(InFlightAsync));
        Assert.All([known[0], known[2]], seconds => Assert.Contains(seconds, (string[])["3", "4"])); // a busy machine adds to the 2.5 s
        Assert.Contains(known[1], (string[])["1", "2"]);

        async Task<string> InFlightAsync(string path)
        {
            var key = EmbeddedGateway.NewKey();
            var first = KeyedRequests.PostAsync(client, $"{gateway.Url}{path}?seat=1", key);
            await backend.Ledger.WaitForAsync(arrival => arrival.Key == key);
            var duplicate = await KeyedRequests.PostAsync(client, $"{gateway.Url}{path}?seat=1", key);
            await first;
            return duplicate.Status == 409 ? duplicate.Header("Retry-After")! : path == "/quick" ? "1" : $"status {duplicate.Status}"; // too quick to be met
        }
    }
}
