using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Scripts of web pages may read the gateway's own answers where the backend lets them read its own, and nowhere else.</summary>
public sealed class CrossOriginTests : IAsyncLifetime
{
    private const string Shop = "https://shop.example";
    private const string Partner = "https://partner.example";
    private const string Stranger = "https://stranger.example";

    private readonly string _key = EmbeddedGateway.NewKey();
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { }, new GatewayRoute("/orders/{**rest}", _backend.Url), new GatewayRoute("/other/{**rest}", _backend.Url)));
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task AfterThePreflight_ARefusalCanBeRead()
    {
        var before = await SendAsync(HttpMethod.Post, "/orders", Shop, key: null);
        await SendAsync(HttpMethod.Options, "/orders", Shop, key: null);
        var refused = await SendAsync(HttpMethod.Post, "/orders", Shop, key: null);
        var elsewhere = await SendAsync(HttpMethod.Post, "/other", Shop, key: null);

        Expect.Problem(400, "key-missing", refused);
        Assert.Equal((Shop, "true", "Origin"), (refused.Header("Access-Control-Allow-Origin"), refused.Header("Access-Control-Allow-Credentials"), refused.Header("Vary")));
        AssertExposes(refused, "Idempotency-Status", "Idempotent-Replayed", "Retry-After", "Link");
        Assert.All((Answer[])[before, elsewhere], answer => Assert.Null(answer.Header("Access-Control-Allow-Origin")));
    }

    [Fact]
    public async Task AfterAnAnswer_ARefusalAndAReplayCanBeRead_ByWhomTheBackendAllows()
    {
        var first = await SendAsync(HttpMethod.Post, "/orders", Shop, _key);
        await SendAsync(HttpMethod.Post, "/orders", Partner, _key + "2");
        var reused = await SendAsync(HttpMethod.Post, "/orders", Shop, _key, """{"another":1}""");
        var sameOrigin = await SendAsync(HttpMethod.Post, "/orders", Shop, _key);
        var otherOrigin = await SendAsync(HttpMethod.Post, "/orders", Partner, _key);
        var stranger = await SendAsync(HttpMethod.Post, "/orders", Stranger, _key);
        var noOrigin = await SendAsync(HttpMethod.Post, "/orders", origin: null, _key);

        Assert.Equal(2, _backend!.Ledger.Count);
        AssertExposes(first, "X-Total", "Idempotent-Replayed");
        Expect.Problem(422, "key-reused", reused);
        Assert.Equal(Shop, reused.Header("Access-Control-Allow-Origin"));
        Assert.All((Answer[])[sameOrigin, otherOrigin, stranger, noOrigin], answer => Assert.True(answer.IsReplay));
        Assert.Equal(Shop, sameOrigin.Header("Access-Control-Allow-Origin"));
        AssertExposes(sameOrigin, "X-Total", "Idempotent-Replayed");
        Assert.Equal(Partner, otherOrigin.Header("Access-Control-Allow-Origin"));
        Assert.Null(stranger.Header("Access-Control-Allow-Origin"));
        Assert.Null(stranger.Header("Access-Control-Allow-Credentials"));
    }

    [Fact]
    public async Task AnyOrigin_StaysAnyOrigin()
    {
        await SendAsync(HttpMethod.Post, "/orders/open", Stranger, _key);
        var replay = await SendAsync(HttpMethod.Post, "/orders/open", Partner, _key);

        Assert.True(replay.IsReplay);
        Assert.Equal("*", replay.Header("Access-Control-Allow-Origin"));
        Assert.Null(replay.Header("Access-Control-Allow-Credentials"));
    }

    private static void AssertExposes(Answer answer, params string[] names) =>
        Assert.Superset(names.ToHashSet(), answer.Header("Access-Control-Expose-Headers")!.Split(", ").ToHashSet());

    private Task<Answer> SendAsync(HttpMethod method, string path, string? origin, string? key, string body = "{}") => KeyedRequests.SendAsync(
        _client, method, _gateway!.Url + path, key, System.Text.Encoding.UTF8.GetBytes(body), origin is null ? [] : [KeyValuePair.Create("Origin", origin)]);

    /// <summary>As a backend with a list of origins does.</summary>
    private Task AnswerAsync(HttpContext context)
    {
        var origin = context.Request.Headers.Origin.ToString();
        if (context.Request.Path.Value!.EndsWith("/open", StringComparison.Ordinal))
        {
            context.Response.Headers.AccessControlAllowOrigin = "*";
        }
        else if (origin is Shop or Partner)
        {
            context.Response.Headers.AccessControlAllowOrigin = origin;
            context.Response.Headers.AccessControlAllowCredentials = "true";
            context.Response.Headers.AccessControlExposeHeaders = "X-Total";
        }

        if (HttpMethods.IsOptions(context.Request.Method))
        {
            context.Response.StatusCode = 204;
            return Task.CompletedTask;
        }

        context.Response.Headers["X-Total"] = "1";
        return _backend!.AnswerCreatedAsync(context);
    }
}
