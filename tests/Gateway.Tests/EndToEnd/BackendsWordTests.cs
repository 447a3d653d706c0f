using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What a backend says of its answer: not to store it, or that it is a replay of the backend's own.</summary>
public sealed class BackendsWordTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private readonly string _key = Guid.NewGuid().ToString();

    [Theory]
    [InlineData("no-store")]
    [InlineData("private, NO-STORE")]
    public async Task AnAnswerThatMustNotBeStored_IsNotKept(string cacheControl)
    {
        var path = PathOf("default-key", ("Cache-Control", cacheControl));

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal((201, "answer-not-kept"), (first.Status, first.Header("Idempotency-Status")));
        Assert.Contains("execution", first.Text, StringComparison.Ordinal);
        Expect.NotKept(TombstoneReason.NoStore, 201, first.Header("Location"), retry);
    }

    [Fact]
    public async Task AnAnswerThatMustNotBeStored_IsRecorded_WhereThePolicySaysSo()
    {
        var path = PathOf("no-store-kept", ("Cache-Control", "no-store"));

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal((201, null, "no-store"), (first.Status, first.Header("Idempotency-Status"), first.Header("Cache-Control")));
        Expect.Replay(first, retry);
    }

    [Theory]
    [InlineData("no-cache, max-age=0")]
    [InlineData("max-age=60, private")]
    public async Task OtherWordsOfCacheControl_ChangeNothing(string cacheControl)
    {
        var path = PathOf("default-key", ("Cache-Control", cacheControl));

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public async Task ABackendsOwnMarkOfAReplay_IsKept_OnTheFirstAnswer_AndAReplayHasOne(string mark)
    {
        var path = PathOf("default-key", ("Idempotent-Replayed", mark));

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal((201, mark, null), (first.Status, first.Header("Idempotent-Replayed"), first.Header("Idempotency-Status")));
        Assert.Equal((201, "true", null), (retry.Status, retry.Header("Idempotent-Replayed"), retry.Header("Idempotency-Status")));
        Assert.Equal(first.Body, retry.Body);
    }

    [Fact]
    public async Task TheStatusField_IsTheGatewaysWord_NotTheBackends_NorTheClients()
    {
        var path = PathOf("default-key", ("Idempotency-Status", "bypassed"));

        var first = await gateway.PostAsync(path, _key, "{}", ("Idempotency-Status", "forged"), ("Idempotent-Replayed", "true"), ("Idempotency-Attempt", "7"));
        var retry = await gateway.PostAsync(path, _key);

        var arrival = Assert.Single(gateway.ArrivalsAt(path));
        Assert.All((string[])["Idempotency-Status", "Idempotent-Replayed", "Idempotency-Attempt"], name => Assert.Null(arrival.Header(name)));
        Assert.Null(first.Header("Idempotency-Status"));
        Assert.Null(retry.Header("Idempotency-Status"));
        Expect.Replay(first, retry);
    }

    private string PathOf(string policy, params (string Name, string Value)[] fields)
    {
        var path = PolicyGateway.NewPath(policy);
        gateway.AnswerAt(path, async context =>
        {
            foreach (var (name, value) in fields)
            {
                context.Response.Headers[name] = value;
            }

            await gateway.AnswerCreatedAsync(context);
        });
        return path;
    }
}
