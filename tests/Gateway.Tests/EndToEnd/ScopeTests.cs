using System.Net;
using System.Net.Sockets;
using Gateway.Tests.Support;
using Microsoft.IdentityModel.Tokens;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Who a key belongs to: by header, by claim of a token that is really signed, by address, or to everybody.</summary>
public sealed class ScopeTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private static readonly Dictionary<string, object> Alice = new() { ["sub"] = "alice", ["tenant"] = "one" };

    private readonly string _key = Guid.NewGuid().ToString();

    [Fact]
    public async Task ARenewedToken_OfTheSameSubject_FindsTheKey()
    {
        var path = PolicyGateway.NewPath("claim-scope");
        string[] tokens = [Token(Alice), Token(Alice), gateway.Tokens.Bearer(Alice, withCurve: true)];
        Assert.Equal(3, tokens.Distinct().Count());

        var first = await PostAsync(path, tokens[0]);
        var renewed = await PostAsync(path, tokens[1]);
        var signedByAnotherKey = await PostAsync(path, tokens[2]);

        Assert.Equal(tokens[0], Assert.Single(gateway.ArrivalsAt(path)).Header("Authorization"));
        Expect.Replay(first, renewed);
        Expect.Replay(first, signedByAnotherKey);
    }

    [Fact]
    public async Task AnotherSubject_HasKeysOfItsOwn()
    {
        var path = PolicyGateway.NewPath("claim-scope");

        var alice = await PostAsync(path, Token(Alice));
        var bob = await PostAsync(path, Token(new() { ["sub"] = "bob" }));

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Assert.Equal((201, 201, false), (alice.Status, bob.Status, bob.IsReplay));
        Assert.NotEqual(alice.Text, bob.Text);
    }

    [Fact]
    public async Task SeveralClaims_CountTogether()
    {
        var path = PolicyGateway.NewPath("claim-scopes");

        var first = await PostAsync(path, Token(Alice));
        var elsewhere = await PostAsync(path, Token(new(Alice) { ["tenant"] = "two" }));
        var inBoth = await PostAsync(path, Token(new(Alice) { ["tenant"] = (string[])["one", "two"] }));
        var retry = await PostAsync(path, Token(Alice));

        Assert.Equal(3, gateway.ArrivalsAt(path).Count);
        Assert.All([elsewhere, inBoth], answer => Assert.Equal((201, false), (answer.Status, answer.IsReplay)));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task ATokenWithoutTheClaim_IsNobodysScope()
    {
        var path = PolicyGateway.NewPath("claim-scopes");

        var withoutTenant = await PostAsync(path, Token(new() { ["sub"] = "alice" }));
        var withoutAny = await PostAsync(path, Token([]));

        Assert.Empty(gateway.ArrivalsAt(path));
        Expect.Problem(400, "request-invalid", withoutTenant);
        Assert.Contains("claim:tenant", withoutTenant.Text, StringComparison.Ordinal);
        Expect.Problem(400, "request-invalid", withoutAny);
    }

    [Theory]
    [InlineData("none")]
    [InlineData("expired")]
    [InlineData("another issuer")]
    [InlineData("another audience")]
    [InlineData("another key")]
    [InlineData("edited")]
    [InlineData("no signature")]
    [InlineData("signed with the public key")]
    [InlineData("rubbish")]
    public async Task ATokenThatIsNotValid_Is401_AndNothingArrives(string defect)
    {
        var path = PolicyGateway.NewPath("claim-scope");
        using var stranger = new TokenIssuer();
        var good = Token(Alice);
        var parts = good["Bearer ".Length..].Split('.');
        var bearer = defect switch
        {
            "none" => null,
            "expired" => gateway.Tokens.Bearer(Alice, expiresIn: TimeSpan.FromMinutes(-10)),
            "another issuer" => gateway.Tokens.Bearer(Alice, issuer: "https://evil.example/"),
            "another audience" => gateway.Tokens.Bearer(Alice, audience: "payments"),
            "another key" => stranger.Bearer(Alice),
            "edited" => $"Bearer {parts[0]}.{Base64UrlEncoder.Encode(Base64UrlEncoder.Decode(parts[1]).Replace("alice", "admin", StringComparison.Ordinal))}.{parts[2]}",
            "no signature" => $"Bearer {Base64UrlEncoder.Encode("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.",
            "signed with the public key" => gateway.Tokens.BearerSignedWithPublicKey(parts[1]),
            _ => "Bearer rubbish",
        };
        var first = await PostAsync(path, good);

        var refused = await PostAsync(path, bearer);

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal(201, first.Status);
        Assert.Equal((401, false), (refused.Status, refused.IsReplay));
        Assert.StartsWith("Bearer", refused.Header("WWW-Authenticate"), StringComparison.Ordinal);
        Assert.DoesNotContain("execution", refused.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheDefault_IsTheCredentialAsItIsSent()
    {
        var path = PolicyGateway.NewPath("default-key");

        var first = await PostAsync(path, Token(Alice));
        var renewed = await PostAsync(path, Token(Alice));

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Assert.Equal((201, 201, false), (first.Status, renewed.Status, renewed.IsReplay));
    }

    [Fact]
    public async Task AHeaderAndAQueryParameter_CountTogether()
    {
        var path = PolicyGateway.NewPath("tenant-scope");
        var targets = new[] { $"{path}?user=a", $"{path}?user=b" };

        var firsts = new[]
        {
            await gateway.PostAsync(targets[0], _key, "{}", ("X-Tenant", "one")),
            await gateway.PostAsync(targets[0], _key, "{}", ("X-Tenant", "two")),
            await gateway.PostAsync(targets[1], _key, "{}", ("X-Tenant", "one")),
            await gateway.PostAsync(targets[0], _key),
        };
        var retry = await gateway.PostAsync(targets[0], _key, "{}", ("X-Tenant", "one"), ("Authorization", "Bearer does-not-matter"));

        Assert.Equal(4, gateway.ArrivalsAt(path).Count);
        Assert.All(firsts, first => Assert.Equal((201, false), (first.Status, first.IsReplay)));
        Expect.Replay(firsts[0], retry);
    }

    [Fact]
    public async Task AValueOfTheBody_CanBeTheScope_ButNoObject()
    {
        var path = PolicyGateway.NewPath("body-scope");

        var first = await gateway.PostAsync(path, _key, """{"account":"7"}""");
        var other = await gateway.PostAsync(path, _key, """{"account":"8"}""");
        var retry = await gateway.PostAsync(path, _key, """{"account":"7"}""");
        var unusable = await gateway.PostAsync(path, _key, """{"account":{"id":7}}""");

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Assert.False(other.IsReplay);
        Expect.Replay(first, retry);
        Expect.Problem(400, "request-invalid", unusable);
    }

    [Fact]
    public async Task AGlobalKey_BelongsToWhoeverKnowsIt()
    {
        var path = PolicyGateway.NewPath("global-scope");

        var first = await PostAsync(path, "Bearer alice");
        var retry = await PostAsync(path, "Bearer bob");

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task TheClientsAddress_CanBeTheScope()
    {
        var path = PolicyGateway.NewPath("ip-scope");
        using var elsewhere = ClientAt(IPAddress.Parse("127.0.0.2"));

        var first = await PostAsync(path, "Bearer alice");
        var retry = await PostAsync(path, "Bearer bob");
        var other = await KeyedRequests.PostAsync(elsewhere, gateway.Url + path, _key);

        Assert.Equal(2, gateway.ArrivalsAt(path).Count);
        Expect.Replay(first, retry);
        Assert.Equal((201, false), (other.Status, other.IsReplay));
    }

    [Theory]
    [InlineData("claim:sub", null, "expected Default, because policy p takes a claim from the token")]
    [InlineData("claim:sub", "Anonymous", "expected Default, because policy p takes a claim from the token")]
    [InlineData("header:X", "Default", "expected a section Authentication:Jwt")]
    public async Task AClaimWithoutAuthentication_StopsTheStart(string scope, string? authorization, string expected)
    {
        var config = GatewayConfig.Write(
            GatewayConfig.Embedded,
            new { p = new { Scope = scope } },
            new GatewayRoute("/{**rest}", "http://127.0.0.1:1", "p", AuthorizationPolicy: authorization));

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(async () => await (await GatewayProcess.StartAsync(config)).DisposeAsync());

        Assert.Contains("ReverseProxy:Routes:/{**rest}:AuthorizationPolicy", failure.Message, StringComparison.Ordinal);
        Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "Could not find file")]
    [InlineData("not json", "is not a JSON Web Key Set")]
    [InlineData("""{"keys":[]}""", "has no key")]
    public async Task AKeysFileThatIsNone_StopsTheStart(string? content, string expected)
    {
        var file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.json");
        if (content is not null)
        {
            await File.WriteAllTextAsync(file, content);
        }

        var config = GatewayConfig.Write(
            GatewayConfig.Embedded, new { p = new { Scope = "claim:sub" } }, new GatewayRoute("/{**rest}", "http://127.0.0.1:1", "p", AuthorizationPolicy: "Default"));

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(
            async () => await (await GatewayProcess.StartAsync(config, TokenIssuer.Environment(file))).DisposeAsync());

        File.Delete(file);
        Assert.Contains("The gateway cannot start", failure.Message, StringComparison.Ordinal);
        Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
    }

    private string Token(Dictionary<string, object> claims) => gateway.Tokens.Bearer(claims);

    private Task<Answer> PostAsync(string path, string? bearer) =>
        gateway.PostAsync(path, _key, headers: bearer is null ? [] : [("Authorization", bearer)]);

    private static HttpClient ClientAt(IPAddress address) => new(new SocketsHttpHandler
    {
        UseProxy = false,
        ConnectCallback = async (context, cancellation) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(address, 0));
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    });
}
