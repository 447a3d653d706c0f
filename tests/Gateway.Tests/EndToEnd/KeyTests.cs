using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Which requests carry the same key, and which keys are refused before anything happens.</summary>
public sealed class KeyTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    public static TheoryData<string, string> InvalidKeyLines => new()
    {
        { "two lines", "Idempotency-Key: a\r\nIdempotency-Key: a" },
        { "empty", "Idempotency-Key:" },
        { "empty string", "Idempotency-Key: \"\"" },
        { "blanks", "Idempotency-Key:    " },
        { "quoted blanks", "Idempotency-Key: \"   \"" },
        { "256 characters", $"Idempotency-Key: {new string('k', 256)}" },
        { "256 characters, quoted", $"Idempotency-Key: \"{new string('k', 256)}\"" },
        { "control character", "Idempotency-Key: \"a\u0001b\"" },
        { "DEL", "Idempotency-Key: \"a\u007fb\"" },
        { "TAB", "Idempotency-Key: \"a\tb\"" },
        { "TAB, bare", "Idempotency-Key: a\tb" },
        { "UTF-8", "Idempotency-Key: \"caf\u00c3\u00a9\"" },
        { "Latin-1", "Idempotency-Key: \"caf\u00e9\"" },
        { "parameter", "Idempotency-Key: \"k\";a=1" },
        { "list", "Idempotency-Key: \"a\", \"b\"" },
        { "blank inside, bare", "Idempotency-Key: a b" },
        { "unbalanced quote", "Idempotency-Key: \"a" },
        { "escape of nothing", "Idempotency-Key: \"a\\b\"" },
    };

    [Fact]
    public async Task QuotedAndBare_AreOneKey()
    {
        var first = await gateway.PostAsync(_path, $"\"{_key}\"");
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Equal($"\"{_key}\"", Assert.Single(gateway.ArrivalsAt(_path)).Key);
        Assert.Equal(201, first.Status);
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task CaseMatters()
    {
        var lower = await gateway.PostAsync(_path, $"case-{_key}");
        var upper = await gateway.PostAsync(_path, $"CASE-{_key}");

        Assert.Equal(2, gateway.ArrivalsAt(_path).Count);
        Assert.False(upper.IsReplay);
        Assert.NotEqual(lower.Text, upper.Text);
    }

    [Theory]
    [InlineData(255)]
    [InlineData(1)]
    public async Task TheLongestAndTheShortestKey_AreFine(int length)
    {
        var key = _key.Replace("-", "", StringComparison.Ordinal).PadRight(255, '~')[..length];

        var first = await gateway.PostAsync(_path, key);
        var retry = await gateway.PostAsync(_path, $"\"{key}\"");

        Assert.Single(gateway.ArrivalsAt(_path));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AKeyWithEscapes_ReachesTheBackendAsItWasWritten()
    {
        var written = $"\"{_key} \\\"quoted\\\" \\\\ back\"";

        var first = await gateway.PostAsync(_path, written);
        var retry = await gateway.PostAsync(_path, written);

        Assert.Equal(written, Assert.Single(gateway.ArrivalsAt(_path)).Key);
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AnotherCredential_IsAnotherKey_AndNeverGetsTheOthersAnswer()
    {
        string?[] credentials = ["Bearer alice", "Bearer bob", null];

        var firsts = new List<Answer>();
        foreach (var credential in credentials)
        {
            firsts.Add(await PostAsAsync(credential));
        }

        Assert.Equal(credentials, gateway.ArrivalsAt(_path).Select(arrival => arrival.Header("Authorization")));
        Assert.All(firsts, first => Assert.Equal((201, false), (first.Status, first.IsReplay)));
        Assert.Equal(3, firsts.DistinctBy(first => first.Text).Count());
        foreach (var (credential, first) in credentials.Zip(firsts))
        {
            Expect.Replay(first, await PostAsAsync(credential));
        }

        Assert.Equal(3, gateway.ArrivalsAt(_path).Count);
    }

    [Theory]
    [MemberData(nameof(InvalidKeyLines))]
    public async Task AnInvalidKey_IsRefused_AndTheBackendSeesNothing(string what, string lines)
    {
        var answer = await gateway.PostRawAsync(_path, "{}", lines);

        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.True(answer.Status == 400, what);
        Assert.Contains("/.well-known/idempotency#key-invalid", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMissingKey_IsRefused_WhereThePolicyRequiresOne()
    {
        var answer = await gateway.PostAsync(_path, key: null);

        Assert.Empty(gateway.ArrivalsAt(_path));
        Expect.Problem(400, "key-missing", answer);
    }

    [Fact]
    public async Task AMissingKey_IsForwarded_WhereThePolicyLetsIt()
    {
        var path = EmbeddedGateway.NewPath("/optional");

        var first = await gateway.PostAsync(path, key: null, body: "one");
        var second = await gateway.PostAsync(path, key: null, body: "one");

        Assert.Equal(["one", "one"], gateway.ArrivalsAt(path).Select(arrival => System.Text.Encoding.UTF8.GetString(arrival.Body)));
        Assert.All(gateway.ArrivalsAt(path), arrival => Assert.Null(arrival.Key));
        Assert.Equal((201, 201), (first.Status, second.Status));
        Assert.NotEqual(first.Text, second.Text);
        Assert.DoesNotContain(first.Headers, field => field.Key.StartsWith("Idempot", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task AKey_IsHonoured_WhereThePolicyMakesItOptional()
    {
        var path = EmbeddedGateway.NewPath("/optional");

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
    }

    private Task<Answer> PostAsAsync(string? credential) =>
        gateway.PostAsync(_path, _key, headers: credential is null ? [] : [("Authorization", credential)]);
}
