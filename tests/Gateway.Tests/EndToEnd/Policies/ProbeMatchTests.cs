using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// A backend that pays, loses the answer, and says 200 to every GET. Only what tells the payment apart from a welcome page counts as found,
/// for a retry and for the sweeper.
/// </summary>
public sealed class ProbeMatchTests : IAsyncLifetime
{
    private const string Welcome = "<h1>Welcome</h1>";

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;
    private volatile Func<HttpContext, Task> _answer = context => WelcomeAsync(context, "text/html", Welcome);

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(context =>
        {
            if (HttpMethods.IsGet(context.Request.Method))
            {
                return _answer(context);
            }

            context.Abort();
            return Task.CompletedTask;
        });
        var match = new { MediaType = "application/json", Json = new Dictionary<string, string> { ["/payment/ref"] = "{key}", ["/payment/amount"] = "{body:/amount}" } };
        var policy = new { Response = new { MaxBodyBytes = 100 }, Uncertain = new { Retries = "Probe", Probe = new { Path = "/payments?ref={key}", Match = match } } };
        var hiding = new GatewayRoute("/payments", _backend.Url, "policy") { Transforms = [new() { ["ResponseHeaderRemove"] = "X-Internal" }] };
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(GatewayConfig.Embedded, new { policy }, hiding));
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _gateway!.DisposeAsync();
        await _backend!.DisposeAsync();
    }

    [Theory]
    [InlineData("text/html", Welcome)]
    [InlineData("application/json", Welcome)]
    [InlineData("application/json", """{"payment":null}""")]
    [InlineData("application/json", """{"payment":{"ref":"another","amount":10}}""")]
    [InlineData("application/json", """{"payment":{"ref":"KEY","amount":11}}""")]
    [InlineData("text/plain", """{"payment":{"ref":"KEY","amount":10}}""")]
    public async Task AnotherPageWithStatus200_SettlesNothing(string mediaType, string page)
    {
        _answer = context => WelcomeAsync(context, mediaType, page.Replace("KEY", _key, StringComparison.Ordinal));
        Expect.Problem(502, "outcome-uncertain", await PayAsync());
        await AskedAsync(1); // by the sweeper

        Expect.Uncertain(await PayAsync());
        await AskedAsync(2);

        Assert.Single(Payments);
        Expect.Uncertain(await PayAsync());
    }

    [Fact]
    public async Task TheAnswerThatMatches_IsFound_ByTheRetry()
    {
        Expect.Problem(502, "outcome-uncertain", await PayAsync());
        Expect.Uncertain(await PayAsync());
        _answer = context => WelcomeAsync(context, "application/json; charset=utf-8", Paid);

        var found = await PayUntilSettledAsync();

        Assert.Single(Payments);
        Assert.Equal((200, true, Paid, "kept"), (found.Status, found.IsReplay, found.Text, found.Header("X-Kept")));
        Assert.Null(found.Header("X-Internal")); // the route removes it from answers
    }

    [Fact]
    public async Task TheAnswerThatMatches_IsFound_ByTheSweeper_WhichKnowsWhatIsExpected()
    {
        _answer = context => WelcomeAsync(context, "application/json", Paid);
        Expect.Problem(502, "outcome-uncertain", await PayAsync());
        await _gateway!.Output.WaitForAsync(line => line.Contains("Found", StringComparison.Ordinal)); // event 1009

        _answer = context => WelcomeAsync(context, "text/html", Welcome);
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await PayAsync()).Status == 200, "what the sweeper found is settled"); // which is after it said so

        Assert.Single(Payments);
        Assert.Equal((200, true, Paid), (retry!.Status, retry.IsReplay, retry.Text));
    }

    [Fact]
    public async Task AMatchingAnswerThatIsTooLargeToKeep_IsFoundAllTheSame()
    {
        _answer = context => WelcomeAsync(context, "application/json", $$"""{"payment":{"ref":"{{_key}}","amount":10.0},"more":"{{new string('x', 200)}}"}""");
        Expect.Problem(502, "outcome-uncertain", await PayAsync());

        var retry = await PayUntilSettledAsync();

        Assert.Single(Payments);
        Expect.Problem(409, "answer-not-kept", retry);
    }

    private string Paid => $$$"""{"payment":{"ref":"{{{_key}}}","amount":10}}""";

    private IReadOnlyList<Arrival> Payments => [.. _backend!.Ledger.Where(arrival => arrival.Method == "POST")];

    private Task AskedAsync(int times) => Eventually.TrueAsync(() => _backend!.Ledger.Count(arrival => arrival.Method == "GET") >= times, $"asked {times} times");

    private Task<Answer> PayAsync() => KeyedRequests.PostAsync(_client, _gateway!.Url + "/payments", _key, """{"amount":10}""");

    /// <summary>The sweeper may be at the same key, a moment before the retry: then the retry is told to come back.</summary>
    private async Task<Answer> PayUntilSettledAsync()
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PayAsync()).ProblemType != "in-progress", "settled");
        return answer!;
    }

    private static async Task WelcomeAsync(HttpContext context, string mediaType, string page)
    {
        context.Response.ContentType = mediaType;
        context.Response.Headers["X-Kept"] = "kept";
        context.Response.Headers["X-Internal"] = "node 7";
        await context.Response.WriteAsync(page);
    }
}
