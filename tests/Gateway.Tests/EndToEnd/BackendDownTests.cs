using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A request that provably never reached the backend frees its key.</summary>
public sealed class BackendDownTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    [Fact]
    public async Task ABackendThatIsDown_FreesTheKey_SoThatTheRetryReachesItWhenItIsBack()
    {
        var (path, key) = (EmbeddedGateway.NewPath(), EmbeddedGateway.NewKey());
        Assert.Equal(201, (await gateway.PostAsync(EmbeddedGateway.NewPath(), EmbeddedGateway.NewKey())).Status);
        await gateway.Backend.StopAsync();

        var refused = await gateway.PostAsync(path, key);
        var refusedAgain = await gateway.PostAsync(path, key);
        await gateway.Backend.StartAgainAsync();
        var retry = await gateway.PostAsync(path, key);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Problem(502, "backend-unreachable", refused);
        Expect.Problem(502, "backend-unreachable", refusedAgain);
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
        Expect.Replay(retry, await gateway.PostAsync(path, key));
    }
}
