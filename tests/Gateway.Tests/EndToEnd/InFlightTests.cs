using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Duplicates that come while the first request is running.</summary>
public sealed class InFlightTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    [Fact]
    public async Task ADuplicateInFlight_IsToldToComeBack_AndThenGetsTheAnswer()
    {
        var (path, key) = (EmbeddedGateway.NewPath(), EmbeddedGateway.NewKey());
        using var held = gateway.Backend.Hold();
        var running = gateway.PostAsync(path, key);
        await gateway.Backend.Ledger.WaitForAsync(arrival => arrival.Key == key);

        var duplicate = await gateway.PostAsync(path, key);
        held.Release();
        var first = await running;
        var retry = await gateway.PostAsync(path, key);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.InProgress(duplicate);
        Assert.Equal(201, first.Status);
        Expect.Replay(first, retry);
    }
}
