using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What a key may look like: in other fields than Idempotency-Key, and where a policy says it.</summary>
public sealed class KeyFormatTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private readonly string _key = Guid.NewGuid().ToString();

    [Theory]
    [InlineData("partition:0/offset:24")]
    [InlineData("a b, c;d=\\\"e\\\"")]
    [InlineData("urn:uuid:{0}")]
    [InlineData("{{}}[]<>()=@/?")]
    [InlineData("\"not closed")]
    public async Task AFieldThatSendersFill_HasAnyTextAsKey(string id)
    {
        var path = PolicyGateway.NewPath("event-key");

        var first = await gateway.PostAsync(path, null, "{}", ("ce-id", id));
        var retry = await gateway.PostAsync(path, null, "{}", ("ce-id", id));
        var other = await gateway.PostAsync(path, null, "{}", ("ce-id", id + "1"));

        Assert.Equal([id, id + "1"], gateway.ArrivalsAt(path).Select(arrival => arrival.Header("ce-id")));
        Expect.Replay(first, retry);
        Assert.Equal((201, false), (other.Status, other.IsReplay));
    }

    [Theory]
    [InlineData("a-key-that-is-long", null, 201, "")]
    [InlineData("\"a-key-that-is-long\"", null, 201, "")]
    [InlineData("short", null, 400, "at least 16")]
    [InlineData("a-key-that-is~long", null, 400, "^[A-Za-z0-9_.:-]+$")]
    [InlineData(null, "a-key-that-is-long", 201, "")]
    [InlineData(null, "short", 400, "at least 16")]
    [InlineData(null, "a-key-that-is-long%0A", 400, "^[A-Za-z0-9_.:-]+$")]
    public async Task AKey_LooksAsThePolicyAsks(string? key, string? parameter, int status, string expected)
    {
        var path = PolicyGateway.NewPath("strict-key");
        var mine = (key ?? parameter)!.Replace("long", _key, StringComparison.Ordinal);

        var answer = await gateway.PostAsync(parameter is null ? path : $"{path}?key={mine}", key is null ? null : mine);

        Assert.Equal(status == 201 ? 1 : 0, gateway.ArrivalsAt(path).Count);
        Assert.Equal(status, answer.Status);
        if (status == 400)
        {
            Expect.Problem(400, "key-invalid", answer);
            Assert.Contains(expected, answer.Text, StringComparison.Ordinal);
        }
    }
}
