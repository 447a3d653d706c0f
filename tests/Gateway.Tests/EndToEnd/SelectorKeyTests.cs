using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A key may stand in any place of a request; wherever it stands, it is one key.</summary>
public sealed class SelectorKeyTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private const string Form = "application/x-www-form-urlencoded";
    private static readonly string LongUrl = $"https://example.com/{new string('x', 2000)}?a=b";

    private readonly string _key = Guid.NewGuid().ToString();

    public static TheoryData<string, string, string, string> UnusableKeys => new()
    {
        { "query-key", "", "{}", "key-missing" },
        { "query-key", "?Other=a", "{}", "key-missing" },
        { "query-key", "?key=", "{}", "key-invalid" },
        { "query-key", "?key", "{}", "key-invalid" },
        { "query-key", "?key=a&key=a", "{}", "key-invalid" },
        { "query-key", "?key=a&KEY=b", "{}", "key-invalid" },
        { "query-key", $"?key={new string('k', 4097)}", "{}", "key-invalid" },
        { "route-key", "", "{}", "key-missing" },
        { "url-key", "", "{}", "key-missing" },
        { "url-key", "", "", "key-missing" },
        { "url-key", "", "url=a", "key-missing" },
        { "url-key", "", """{"url":null}""", "key-missing" },
        { "url-key", "", """{"url":"a","url":"b"}""", "key-missing" },
        { "url-key", "", """{"url":"\ud800"}""", "key-missing" },
        { "url-key", "", """{"ur\ud800":1,"\u0075rl\udc00":2}""", "key-missing" },
        { "url-key", "", $$"""{"url":"a","deep":{{new string('[', 64)}}{{new string(']', 64)}}}""", "key-missing" },
        { "url-key", "", """{"url":""}""", "key-invalid" },
        { "url-key", "", """{"url":{}}""", "key-invalid" },
        { "url-key", "", """{"url":["a"]}""", "key-invalid" },
        { "url-key", "", $$"""{"url":"{{new string('k', 4097)}}"}""", "key-invalid" },
        { "form-key", "", "x=1", "key-missing" },
        { "form-key", "", "id=", "key-invalid" },
        { "form-key", "", "id=a&id=a", "key-invalid" },
        { "form-key", "", "id=a&ID=b", "key-invalid" },
    };

    [Fact]
    public async Task AQueryParameter_IsTheKey()
    {
        var path = PolicyGateway.NewPath("query-key");

        var first = await gateway.PostAsync($"{path}?key=a%20b", null);
        var retry = await gateway.PostAsync($"{path}?key=a%20b", null);
        var other = await gateway.PostAsync($"{path}?key=c", null);
        var reused = await gateway.PostAsync($"{path}?key=c&more=1", null);

        Assert.Equal([$"{path}?key=a%20b", $"{path}?key=c"], gateway.ArrivalsAt(path).Select(arrival => arrival.Target));
        Expect.Replay(first, retry);
        Assert.Equal((201, false), (other.Status, other.IsReplay));
        Expect.Problem(422, "key-reused", reused);
    }

    [Fact]
    public async Task AValueOfThePath_IsTheKey()
    {
        var path = PolicyGateway.NewPath("route-key");

        var first = await gateway.PostAsync($"{path}/{_key}", null);
        var retry = await gateway.PostAsync($"{path}/{_key}", null);
        var other = await gateway.PostAsync($"{path}/{_key}2", null);

        Assert.Single(gateway.ArrivalsAt($"{path}/{_key}"));
        Assert.Single(gateway.ArrivalsAt($"{path}/{_key}2"));
        Expect.Replay(first, retry);
        Assert.False(other.IsReplay);
    }

    [Fact]
    public async Task ALongUrlInTheBody_IsTheKey_WhoeverAsks()
    {
        var path = PolicyGateway.NewPath("url-key");
        var unique = LongUrl + _key;

        var first = await gateway.PostAsync(path, null, $$"""{"url":"{{unique}}","days":7}""");
        var retry = await gateway.PostAsync(path, null, $$"""{ "days": 7.0, "url": "{{unique.Replace("/", "\\/", StringComparison.Ordinal)}}" }""", ("Authorization", "Bearer other"));
        var reused = await gateway.PostAsync(path, null, $$"""{"url":"{{unique}}","days":8}""");
        var other = await gateway.PostAsync(path, null, $$"""{"url":"{{unique}}x","days":7}""");

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", reused);
        Assert.Equal((201, false), (other.Status, other.IsReplay));
    }

    [Fact]
    public async Task ManyAtOnceWithOneUrl_AreOneExecution()
    {
        var path = PolicyGateway.NewPath("url-key");

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => gateway.PostAsync(path, null, $$"""{"url":"{{LongUrl}}{{_key}}"}""")));

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Contains(answers, answer => answer is { Status: 201, IsReplay: false });
        Assert.All(answers, answer => Assert.Contains(answer.Status, (int[])[201, 409]));
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(1)]
    public async Task TheLongestAndTheShortestUrl_AreFine(int length)
    {
        var path = PolicyGateway.NewPath("url-key");
        var body = $$"""{"url":"{{_key.PadRight(4096, '~')[..length]}}"}""";

        var first = await gateway.PostAsync(path, null, body);
        var retry = await gateway.PostAsync(path, null, body);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AFieldOfAForm_IsTheKey_UrlEncodedOrMultipart()
    {
        var path = PolicyGateway.NewPath("form-key");
        var (one, oneType) = PolicyGateway.Multipart("one", ("name", "Zo\u00eb"), ("id", $"m-{_key}"));
        var (two, twoType) = PolicyGateway.Multipart("two", ("name", "Zo\u00eb"), ("id", $"m-{_key}"));

        var first = await gateway.PostAsync(path, null, $"name=Zo%C3%AB&id={_key}", ("Content-Type", Form));
        var retry = await gateway.PostAsync(path, null, $"name=Zo%C3%AB&id={_key}", ("Content-Type", Form));
        var reused = await gateway.PostAsync(path, null, $"name=Max&id={_key}", ("Content-Type", Form));
        var firstOfParts = await gateway.PostAsync(path, null, one, ("Content-Type", oneType));
        var retryOfParts = await gateway.PostAsync(path, null, two, ("Content-Type", twoType));

        Assert.Equal([$"name=Zo%C3%AB&id={_key}", one], gateway.ArrivalsAt(path).Select(arrival => Encoding.UTF8.GetString(arrival.Body)));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", reused);
        Expect.Replay(firstOfParts, retryOfParts);
    }

    [Theory]
    [MemberData(nameof(UnusableKeys))]
    public async Task AKeyThatCannotBeUsed_IsRefused_AndTheBackendSeesNothing(string policy, string query, string body, string problem)
    {
        var path = PolicyGateway.NewPath(policy);

        var answer = await gateway.PostAsync(path + query, _key, body, ("Content-Type", policy == "form-key" ? Form : "application/json"));

        Assert.Empty(gateway.ArrivalsAt(path));
        Expect.Problem(400, problem, answer);
    }

    [Fact]
    public async Task AKeyInBytesThatAreNotUtf8_IsNone()
    {
        var path = PolicyGateway.NewPath("url-key");

        var answer = await gateway.PostBytesAsync(path, Encoding.Latin1.GetBytes("{\"url\":\"caf\u00e9\"}"));

        Assert.Empty(gateway.ArrivalsAt(path));
        Expect.Problem(400, "key-missing", answer);
    }

    [Fact]
    public async Task TheFirstKeyFieldThatIsThere_IsTheKey()
    {
        var path = PolicyGateway.NewPath("two-headers");

        var first = await gateway.PostAsync(path, _key, "{}", ("X-Request-Id", $"\"{_key}\""));
        Answer[] retries =
        [
            await gateway.PostAsync(path, $"\"{_key}\"", "{}", ("X-Request-Id", _key)),
            await gateway.PostAsync(path, _key),
            await gateway.PostAsync(path, null, "{}", ("X-Request-Id", _key)),
        ];

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.All(retries, retry => Expect.Replay(first, retry));
    }

    [Fact]
    public async Task TwoKeyFieldsThatDiffer_AreRefused()
    {
        var path = PolicyGateway.NewPath("two-headers");

        var differ = await gateway.PostAsync(path, _key, "{}", ("X-Request-Id", $"{_key}2"));
        var invalid = await gateway.PostAsync(path, _key, "{}", ("X-Request-Id", "two words"));
        var none = await gateway.PostAsync(path, null);

        Assert.Empty(gateway.ArrivalsAt(path));
        Expect.Problem(400, "key-invalid", differ);
        Assert.DoesNotContain(_key, differ.Text, StringComparison.Ordinal);
        Expect.Problem(400, "key-invalid", invalid);
        Expect.Problem(400, "key-missing", none);
        Assert.Contains("header:Idempotency-Key, header:X-Request-Id", none.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OfSeveralPlaces_TheFirstThatHasAKeyCounts()
    {
        var path = PolicyGateway.NewPath("any-place");

        await gateway.PostAsync(path, null, $$"""{"key":"{{_key}}","n":1}""");
        var byHeader = await gateway.PostAsync(path, _key, $$"""{"key":"other","n":1}""");
        var byQuery = await gateway.PostAsync($"{path}?key=q-{_key}", _key, """{"key":"other"}""");
        var byQueryAgain = await gateway.PostAsync($"{path}?key=q-{_key}", $"h-{_key}", """{"key":"other"}""");
        var fieldsDiffer = await gateway.PostAsync($"{path}?key=r-{_key}", _key, "{}", ("X-Request-Id", "another"));

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Expect.Problem(422, "key-reused", byHeader); // the first one's key, another body
        Expect.Replay(byQuery, byQueryAgain);
        Expect.Problem(400, "key-invalid", fieldsDiffer);
    }

    [Theory]
    [InlineData("not json", false)]
    [InlineData("not json", true)]
    [InlineData("{\"other\": 1 }", true)]
    [InlineData("{\"id\": null}", false)]
    [InlineData("", true)]
    public async Task WhereAKeyIsOptional_ABodyWithoutOne_ReachesTheBackendUnchanged(string body, bool chunked)
    {
        var path = PolicyGateway.NewPath("optional-body-key");

        var first = await gateway.PostRawAsync(path, body, chunked, "Content-Type: application/json");
        var second = await gateway.PostRawAsync(path, body, chunked, "Content-Type: application/json");

        Assert.Equal([body, body], gateway.ArrivalsAt(path).Select(arrival => Encoding.UTF8.GetString(arrival.Body)));
        Assert.Equal((201, 201), (first.Status, second.Status));
        Assert.Null(second.Header("Idempotent-Replayed"));
        Assert.Null(second.Header("Idempotency-Status"));
        Assert.NotEqual(first.Text, second.Text);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(200_000)]
    public async Task AChunkedBody_IsLookedInto_LikeAnyOther(int length)
    {
        var path = PolicyGateway.NewPath("optional-body-key");
        var body = $$"""{"id":"{{_key}}","filling":"{{new string('x', length)}}"}""";

        var first = await gateway.PostRawAsync(path, body, chunked: true, "Content-Type: application/json");
        var retry = await gateway.PostRawAsync(path, body, chunked: false, "Content-Type: application/json");

        Assert.Equal(body, Encoding.UTF8.GetString(Assert.Single(gateway.ArrivalsAt(path)).Body));
        Assert.Equal((201, "true"), (first.Status, retry.Header("Idempotent-Replayed")));
        Assert.Equal(first.Body, retry.Body);
    }

    [Fact]
    public async Task AClaimOfTheToken_IsTheKey_IfItHasOneValue()
    {
        var path = PolicyGateway.NewPath("claim-key");
        var bearer = gateway.Tokens.Bearer(new() { ["order"] = _key });

        var first = await gateway.PostAsync(path, null, "{}", ("Authorization", bearer));
        var retry = await gateway.PostAsync(path, null, "{}", ("Authorization", bearer));
        var two = await gateway.PostAsync(path, null, "{}", ("Authorization", gateway.Tokens.Bearer(new() { ["order"] = (string[])["a", "b"] })));
        var none = await gateway.PostAsync(path, null, "{}", ("Authorization", gateway.Tokens.Bearer([])));

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Expect.Problem(400, "key-invalid", two);
        Expect.Problem(400, "key-missing", none);
    }
}
