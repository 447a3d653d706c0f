using System.Globalization;
using Gateway.Storage;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Storage;

[Collection(RedisCollection.Name)]
public sealed class RedisStoreTests(RedisServer server) : StoreContract
{
    /// <summary>The server's clock cannot be moved: short leases are waited for.</summary>
    internal override TimeSpan ShortLease => TimeSpan.FromMilliseconds(250);

    [Fact]
    public async Task EveryRecord_Expires()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);

        await AssertExpiresAsync(claim);
        await Store.SettleAsync(claim, new byte[] { 1 }, default);
        await AssertExpiresAsync(claim);
        var lost = NewClaim();
        await Store.RenewAsync([lost], default);
        await AssertExpiresAsync(lost);
    }

    [Fact]
    public async Task ScriptFlush_IsNotNoticed()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);
        await server.CommandAsync("SCRIPT", "FLUSH");

        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [Fact]
    public async Task ARecordThatIsNotOurs_FailsClosed()
    {
        var claim = NewClaim();
        await server.CommandAsync("HSET", KeyOf(claim), "s", "c", "t", "x", "f", "short", "l", "99999999999999");

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await Store.ClaimAsync(claim, default));
    }

    [Fact]
    public async Task AKeyOfAnotherType_FailsClosed()
    {
        var claim = NewClaim();
        await server.CommandAsync("SET", KeyOf(claim), "x");

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await Store.ClaimAsync(claim, default));
    }

    internal override Task<IIdempotencyStore> OpenAsync() => RedisStores.OpenAsync(server.Configuration);

    internal override Task AdvanceAsync(TimeSpan by) => Task.Delay(by + TimeSpan.FromMilliseconds(20));

    private async Task AssertExpiresAsync(ClaimRequest claim)
    {
        var reply = await server.CommandAsync("PTTL", KeyOf(claim));
        Assert.InRange(long.Parse(reply.TrimStart(':'), CultureInfo.InvariantCulture), 86_000_000, 86_400_000);
    }

    private static string KeyOf(ClaimRequest claim) => string.Create(CultureInfo.InvariantCulture, $"idem:{{b{claim.Id.Bucket:d4}}}:{claim.Id}");
}
