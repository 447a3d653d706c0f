using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Every file of config/examples: <c>check</c> accepts it, and a gateway that runs it does what its first line says.</summary>
public sealed class ExampleTests : IAsyncLifetime
{
    private const string Created = """{"id":1}""";

    private readonly string _key = Guid.CreateVersion7().ToString();
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public static TheoryData<string> Examples => [.. RepositoryFiles.Find("config/examples", "*.json")];

    private ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await Backend.DisposeAsync();
    }

    [Theory]
    [MemberData(nameof(Examples))]
    public async Task Check_AcceptsIt(string file)
    {
        var (exitCode, output, errors) = await GatewayProcess.RunToEndAsync("check", "--config", RepositoryFiles.PathOf(file));

        Assert.Equal((0, ""), (exitCode, errors));
        Assert.StartsWith("Route ", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Payments_AnUncertainOne_IsFoundOutByAsking()
    {
        await StartAsync("payments", "bank");
        Backend.Handler = context => context.Request.Method == "GET" ? AnswerAsync(context, 200, Booked(context.Request.Query["ref"]!)) : CutAsync(context);

        var first = await PostAsync("/payments", """{"amount":10,"sentAt":"09:00"}""");
        var retry = await PostAsync("/payments", """{"sentAt":"09:01","amount":10.0}""");
        var other = await PostAsync("/payments", """{"amount":11}""");

        var booked = Assert.Single(Posts);
        Assert.NotEqual(_key, booked.Key); // one that no two callers share
        Assert.Contains(Backend.Ledger, arrival => arrival.Method == "GET" && arrival.Target == $"/payments?ref={booked.Key}");
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.Equal((200, true, Booked(booked.Key!)), (retry.Status, retry.IsReplay, retry.Text));
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task Payments_OneThatTheBankDoesNotKnow_IsSentAgain()
    {
        await StartAsync("payments", "bank", environment: [("Idempotency__Policies__payments__Uncertain__Probe__AbsentAfter", "00:00:00")]); // half a minute, as it stands there
        Backend.Handler = context => context.Request.Method == "GET" ? AnswerAsync(context, 404, "") : Posts.Count == 1 ? CutAsync(context) : AnswerAsync(context, 201, Created, ("Cache-Control", "no-store"));

        var first = await PostAsync("/payments", "{}");
        var retry = await PostAsync("/payments", "{}");
        var replay = await PostAsync("/payments", "{}");

        Assert.Equal([null, "2"], Posts.Select(arrival => arrival.Header("Idempotency-Attempt")));
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.Equal((201, false, Created), (retry.Status, retry.IsReplay, retry.Text));
        Expect.Replay(retry, replay); // no-store, which the policy records
    }

    [Fact]
    public async Task Payments_AnOldKey_IsRefused()
    {
        await StartAsync("payments", "bank");

        var expired = await KeyedRequests.PostAsync(_client, _gateway!.Url + "/payments", Guid.CreateVersion7(TimeProvider.System.GetUtcNow().AddDays(-8)).ToString());

        Assert.Empty(Backend.Ledger);
        Expect.Problem(412, "key-expired", expired);
    }

    [Fact]
    public async Task UrlShortener_TheLongUrlIsTheKey_AndDuplicatesWaitForTheFirst()
    {
        await StartAsync("url-shortener", "shortener");
        var body = $$"""{"url":"https://example.com/{{_key}}/{{new string('x', 1000)}}"}""";
        using var hold = Backend.Hold();

        var first = KeyedRequests.PostAsync(_client, _gateway!.Url + "/shorten", key: null, body);
        await Backend.WaitForArrivalsAsync(1);
        var duplicates = Task.WhenAll(Enumerable.Range(0, 5).Select(_ => KeyedRequests.PostAsync(_client, _gateway.Url + "/shorten", key: null, body)));
        hold.Release();
        var answer = await first;
        var replays = await duplicates;

        Assert.Single(Posts);
        Assert.Equal(201, answer.Status);
        Assert.All(replays, replay => Expect.Replay(answer, replay));
    }

    [Fact]
    public async Task Seats_OneBookingOfASeatAtATime()
    {
        await StartAsync("seats", "theatre");
        var (running, most) = (0, 0);
        Backend.Handler = async context =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            await Task.Delay(20);
            Interlocked.Decrement(ref running);
            await AnswerAsync(context, 201, Created);
        };

        var answers = await Task.WhenAll(Enumerable.Range(0, 3).Select(user =>
            KeyedRequests.PostAsync(_client, _gateway!.Url + "/seats/7/booking", $"user-{user}")));

        Assert.Equal((1, 3), (most, Posts.Count));
        Assert.All(answers, answer => Assert.Equal(201, answer.Status));
    }

    [Fact]
    public async Task Seats_ASecondCancellation_IsRefused_WithoutAnyKey()
    {
        await StartAsync("seats", "theatre");
        using var hold = Backend.Hold();

        var first = DeleteAsync("/seats/7/booking");
        await Backend.WaitForArrivalsAsync(1);
        var second = await DeleteAsync("/seats/7/booking");
        var otherSeat = DeleteAsync("/seats/8/booking");
        await Backend.WaitForArrivalsAsync(2);
        hold.Release();

        Assert.Equal(["/seats/7/booking", "/seats/8/booking"], Backend.Ledger.Select(arrival => arrival.Target));
        Expect.Problem(409, "resource-locked", second);
        Assert.Equal((201, 201), ((await first).Status, (await otherSeat).Status));
        Assert.Equal(201, (await DeleteAsync("/seats/7/booking")).Status);
    }

    [Fact]
    public async Task LlmStreaming_WordsComeAsTheyAreMade_AndALostClientGetsTheWholeAnswer()
    {
        await StartAsync("llm-streaming", "model");
        using var rest = new SyncPoint();
        Backend.Handler = async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: one\n\n");
            await context.Response.Body.FlushAsync();
            await rest.Released;
            await context.Response.WriteAsync("data: two\n\n");
        };

        using (var request = new HttpRequestMessage(HttpMethod.Post, _gateway!.Url + "/v1/completions") { Content = new ByteArrayContent("{}"u8.ToArray()) })
        {
            request.Content.Headers.ContentType = new("application/json");
            request.Headers.Add("Idempotency-Key", _key);
            using var lost = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            var buffer = new byte["data: one\n\n".Length];
            await (await lost.Content.ReadAsStreamAsync()).ReadExactlyAsync(buffer);
            Assert.Equal("data: one\n\n"u8.ToArray(), buffer);
        }

        var retry = PostAsync("/v1/completions", "{}");
        rest.Release();

        Assert.True((await retry).IsReplay, (await retry).Text);
        Assert.Equal("data: one\n\ndata: two\n\n", (await retry).Text);
        Assert.Single(Posts);
    }

    [Fact]
    public async Task MultiTenant_ARenewedTokenFindsItsKey_AndTheBackendSeesADerivedOne()
    {
        using var tokens = new TokenIssuer();
        await StartAsync("multi-tenant", "shop", tokens);
        string Token(string tenant) => tokens.Bearer(new() { ["tenant"] = tenant, ["sub"] = "7" });

        var first = await PostAsync("/orders", "{}", Token("one"));
        var renewed = await PostAsync("/orders", "{}", Token("one"));
        var other = await PostAsync("/orders", "{}", Token("two"));
        var nobody = await PostAsync("/orders", "{}");

        Assert.Equal(2, Posts.Count);
        Assert.Equal(2, Posts.Select(arrival => arrival.Key).Where(key => key != _key).Distinct().Count());
        Expect.Replay(first, renewed);
        Assert.Equal((201, false, 401), (other.Status, other.IsReplay, nobody.Status));
    }

    [Fact]
    public async Task Observe_NothingChanges_AndAnswersTellWhatWouldHave()
    {
        await StartAsync("observe", "shop");

        Answer[] answers =
        [
            await PostAsync("/orders", "{}"),
            await PostAsync("/orders", "{}"),
            await PostAsync("/orders", "{ }"),
            await KeyedRequests.PostAsync(_client, _gateway!.Url + "/orders", key: null),
        ];

        Assert.Equal([_key, _key, _key, null], Posts.Select(arrival => arrival.Key));
        Assert.All(answers, answer => Assert.Equal((201, false), (answer.Status, answer.IsReplay)));
        Assert.Equal(
            ["forwarded", "replayed", "key-reused", "key-missing"],
            answers.Select(answer => answer.Header("Idempotency-Status")!.Replace("bypassed; would=", "", StringComparison.Ordinal)));
    }

    private static string Booked(string reference) => $$"""{"ref":"{{reference}}","state":"booked"}""";

    [RedisFact(ownServer: true)]
    public async Task AnswersApart_AReportThatItsServerLost_IsNotMadeAgain()
    {
        await using var answers = await RedisServer.StartOwnAsync("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru");
        await StartAsync("answers-apart", "reporting", environment: [("Store__Answers__Redis__Configuration", answers.Configuration), ("Idempotency__NearCopy__MaxEntries", "0")]);
        var report = new string('x', 2_000_000);
        Backend.Handler = context => AnswerAsync(context, 201, report, ("Location", "/reports/1"));

        var first = await PostAsync("/reports", "{}");
        var replay = await PostAsync("/reports", "{}");
        await answers.FlushAllAsync();
        var lost = await PostAsync("/reports", "{}");

        Assert.Single(Posts);
        Assert.Equal((201, report), (first.Status, first.Text));
        Expect.Replay(first, replay);
        Expect.Problem(409, "answer-not-kept", lost);
    }

    [Fact]
    public async Task Cookies_ALoginInBetween_LeavesTheKeyFree_AndTwoSessionsHaveAKeyEach()
    {
        await StartAsync("cookies", "shop");
        Backend.Handler = context => context.Request.Cookies.ContainsKey("session")
            ? AnswerAsync(context, 201, $$"""{"of":"{{context.Request.Cookies["session"]}}"}""")
            : AnswerAsync(context, 302, "", ("Location", "/login?next=%2Forders"));
        Task<Answer> SendAsync(string? cookie) => KeyedRequests.PostAsync(
            _client, _gateway!.Url + "/orders", _key, "{}", cookie is null ? [] : [KeyValuePair.Create("Cookie", cookie)]);

        var loggedOut = await SendAsync(null);
        var again = await SendAsync("_ga=1");
        var alice = await SendAsync("session=alice; _ga=1");
        var retry = await SendAsync("_ga=2; session=alice");
        var bob = await SendAsync("session=bob");

        Assert.Equal(4, Posts.Count);
        Assert.All([loggedOut, again], answer => Assert.Equal((302, "released"), (answer.Status, answer.Header("Idempotency-Status"))));
        Assert.Equal((201, 201), (alice.Status, bob.Status));
        Expect.Replay(alice, retry);
        Assert.Equal("""{"of":"bob"}""", bob.Text);
    }

    private IReadOnlyList<Arrival> Posts => [.. Backend.Ledger.Where(arrival => arrival.Method == "POST")];

    /// <summary>The file as it is shipped; only the addresses of servers and the file of keys are others.</summary>
    private async Task StartAsync(string example, string cluster, TokenIssuer? tokens = null, params (string Name, string Value)[] environment)
    {
        var overrides = environment.ToDictionary(item => item.Name, item => item.Value);
        overrides[$"ReverseProxy__Clusters__{cluster}__Destinations__one__Address"] = Backend.Url;
        var keysFile = Path.GetTempFileName();
        if (tokens is not null)
        {
            await File.WriteAllTextAsync(keysFile, tokens.KeySet);
            overrides["Authentication__Jwt__KeysFile"] = keysFile;
        }

        _gateway = await GatewayProcess.StartAsync(RepositoryFiles.Read($"config/examples/{example}.json"), overrides);
        File.Delete(keysFile);
    }

    private Task<Answer> PostAsync(string path, string body, string? bearer = null) => KeyedRequests.PostAsync(
        _client, _gateway!.Url + path, _key, body, bearer is null ? [] : [KeyValuePair.Create("Authorization", bearer)]);

    private Task<Answer> DeleteAsync(string path) => KeyedRequests.SendAsync(_client, HttpMethod.Delete, _gateway!.Url + path, key: null, []);

    private static Task AnswerAsync(HttpContext context, int status, string body, params (string Name, string Value)[] fields)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        foreach (var (name, value) in fields)
        {
            context.Response.Headers[name] = value;
        }

        return context.Response.WriteAsync(body);
    }

    /// <summary>Executed, and the answer is lost.</summary>
    private static Task CutAsync(HttpContext context)
    {
        context.Abort();
        return Task.CompletedTask;
    }
}
