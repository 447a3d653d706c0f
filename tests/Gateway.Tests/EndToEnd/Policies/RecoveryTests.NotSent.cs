using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>An attempt that was not sent: its key is uncertain again, and nobody is told that it is free.</summary>
public abstract partial class RecoveryTests
{
    [StoreFact]
    public async Task Retry_ThatDoesNotReachTheBackend_IsNotToldThatItsKeyIsFree()
    {
        var path = PolicyGateways.NewPath("retry");
        await MakeUncertainAsync(path);
        await gateways.Backend.StopAsync();
        try
        {
            Expect.Uncertain(await PostAsync(gateways.First, path));
        }
        finally
        {
            await gateways.Backend.StartAgainAsync();
        }

        Assert.Equal(201, (await PostAsync(gateways.First, path)).Status);
        Assert.Equal([null, "3"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
    }

    [StoreFact]
    public async Task Retry_ThatDoesNotGetItsLock_IsNotToldThatItsKeyIsUnused()
    {
        var path = PolicyGateways.NewPath("retry-seat");
        await MakeUncertainAsync(path); // the lock is left to its lease

        Expect.Uncertain(await PostAsync(gateways.First, path));
        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal(201, (await gateways.PostUntilAnsweredAsync(gateways.First, path, _key, Body)).Status);
        Assert.Equal(2, gateways.ArrivalsAt(path).Count);
    }
}
