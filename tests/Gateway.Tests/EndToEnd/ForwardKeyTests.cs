using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Which key a backend sees that checks keys itself.</summary>
public sealed class ForwardKeyTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private readonly string _key = Guid.NewGuid().ToString();

    [Fact]
    public async Task ADerivedKey_IsTheSameForEveryTry_AndAnotherForEveryCallerPolicyAndKey()
    {
        var path = PolicyGateway.NewPath("derived");
        var otherPath = PolicyGateway.NewPath("derived-too");
        var answers = 0;
        gateway.AnswerAt(path, context =>
        {
            context.Response.StatusCode = Interlocked.Increment(ref answers) == 1 ? 503 : 201; // the first try is released, so that the second arrives
            return Task.CompletedTask;
        });

        await PostAsync(path, _key, "alice");
        await PostAsync(path, _key, "alice");
        await PostAsync(path, _key, "bob");
        await PostAsync(path, $"{_key}2", "alice");
        await PostAsync(otherPath, _key, "alice");

        var keys = gateway.ArrivalsAt(path).Concat(gateway.ArrivalsAt(otherPath)).Select(arrival => arrival.Key!).ToList();
        Assert.Equal(5, keys.Count);
        Assert.Equal(keys[0], keys[1]);
        Assert.Equal(4, keys.Distinct().Count());
        Assert.All(keys, key => Assert.Equal(8, Guid.ParseExact(key, "D").Version));
    }

    [Fact]
    public async Task AKeyThatIsDerivedFromAQuery_StandsInTheUsualField()
    {
        var path = PolicyGateway.NewPath("derived-from-query");

        var first = await gateway.PostAsync($"{path}?key={_key}", "the-clients-own");
        var retry = await gateway.PostAsync($"{path}?key={_key}", "another");

        var arrival = Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal(8, Guid.ParseExact(arrival.Key!, "D").Version);
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AStrippedKey_ReachesNobody_InNoField()
    {
        var path = PolicyGateway.NewPath("strip");

        var first = await gateway.PostAsync(path, _key, "{}", ("X-Request-Id", _key));
        var retry = await gateway.PostAsync(path, _key);

        var arrival = Assert.Single(gateway.ArrivalsAt(path));
        Assert.DoesNotContain(arrival.Headers, field => field.Value.Contains(_key, StringComparison.Ordinal));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task APolicyThatObserves_LeavesTheKeyAlone()
    {
        var path = PolicyGateway.NewPath("derived-observed");

        await gateway.PostAsync(path, _key);
        await gateway.PostAsync(path, _key);

        Assert.Equal([_key, _key], gateway.ArrivalsAt(path).Select(arrival => arrival.Key));
    }

    private Task<Answer> PostAsync(string path, string key, string caller) => gateway.PostAsync(path, key, "{}", ("Authorization", $"Bearer {caller}"));
}
