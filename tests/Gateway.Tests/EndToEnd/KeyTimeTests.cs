using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A key that is older than what is remembered does not run again.</summary>
public sealed class KeyTimeTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private const string Crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();
    private static readonly DateTimeOffset TooOld = Now - PolicyGateway.Retention - TimeSpan.FromMinutes(1);

    [Fact]
    public async Task AUuidOfVersion7_ThatIsTooOld_IsRefused_AndAFreshOneIsNot()
    {
        var path = PolicyGateway.NewPath("uuid-time");
        var fresh = Guid.CreateVersion7(Now).ToString();

        var expired = await gateway.PostAsync(path, Guid.CreateVersion7(TooOld).ToString());
        var first = await gateway.PostAsync(path, fresh);
        var retry = await gateway.PostAsync(path, fresh);

        Assert.Equal(fresh, Assert.Single(gateway.ArrivalsAt(path)).Key);
        Expect.Problem(412, "key-expired", expired);
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AUlid_ThatIsTooOld_IsRefused_AndAFreshOneIsNot()
    {
        var path = PolicyGateway.NewPath("any-time");

        var expired = await gateway.PostAsync(path, Ulid(TooOld));
        var first = await gateway.PostAsync(path, Ulid(Now));

        Assert.Equal(Ulid(Now), Assert.Single(gateway.ArrivalsAt(path)).Key);
        Expect.Problem(412, "key-expired", expired);
        Assert.Equal(201, first.Status);
    }

    [Fact]
    public async Task AKeyThatWasFirstSentTooLongAgo_IsRefused()
    {
        var path = PolicyGateway.NewPath("any-time");
        var key = Guid.NewGuid().ToString();

        var expired = await gateway.PostAsync(path, key, "{}", ("Repeatability-First-Sent", TooOld.ToString("r")));
        var first = await gateway.PostAsync(path, key, "{}", ("Repeatability-First-Sent", Now.ToString("r")));

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Problem(412, "key-expired", expired);
        Assert.Equal(201, first.Status);
    }

    [Theory]
    [InlineData("uuid-time", null)]
    [InlineData("any-time", null)]
    [InlineData("any-time", "yesterday")]
    public async Task AKeyThatTellsNoTime_Passes(string policy, string? sent)
    {
        var path = PolicyGateway.NewPath(policy);
        string[] keys = [Guid.NewGuid().ToString(), $"order-{Guid.NewGuid():N}"];

        foreach (var key in keys)
        {
            Assert.Equal(201, (await gateway.PostAsync(path, key, "{}", sent is null ? [] : [("Repeatability-First-Sent", sent)])).Status);
        }

        Assert.Equal(keys, gateway.ArrivalsAt(path).Select(arrival => arrival.Key));
    }

    /// <summary>48 bits of milliseconds in ten characters, then any sixteen.</summary>
    private static string Ulid(DateTimeOffset time) =>
        string.Concat(Enumerable.Range(0, 10).Select(i => Crockford[(int)((time.ToUnixTimeMilliseconds() >> (45 - (5 * i))) & 31)])) + "TSV4RRFFQ69G5FAV";
}
