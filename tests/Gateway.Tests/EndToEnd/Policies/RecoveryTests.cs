using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>What becomes of a key whose outcome is uncertain (<c>Uncertain:Retries</c>): the next attempt, or what the backend says.</summary>
public abstract partial class RecoveryTests(PolicyGateways gateways)
{
    private const string Attempt = "Idempotency-Attempt";

    /// <summary>Has what the probe's path asks for.</summary>
    private const string Body = """{"url":"u"}""";

    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task Retry_AfterTheGatewayDied_IsForwardedAsTheNextAttempt()
    {
        await using var owner = await gateways.StartGatewayAsync();
        var path = PolicyGateways.NewPath("retry");
        using var held = gateways.HoldAt(path);
        var running = PostAsync(owner, path);
        await gateways.ArrivedAsync(path);
        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);

        Expect.InProgress(await PostAsync(gateways.First, path));
        gateways.CutOnceAt(path);
        var second = await gateways.PostUntilAnsweredAsync(gateways.First, path, _key, Body);
        var third = await PostAsync(gateways.Other, path);
        var retry = await PostAsync(gateways.First, path);

        Assert.Equal([null, "2", "3"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
        Expect.Problem(502, "outcome-uncertain", second);
        Assert.Equal(201, third.Status);
        Expect.Replay(third, retry);
    }

    [StoreFact]
    public async Task Retry_OfAnotherRequest_IsKeyReuse()
    {
        var path = PolicyGateways.NewPath("retry");
        await MakeUncertainAsync(path);

        Expect.Problem(422, "key-reused", await gateways.PostAsync(gateways.Other, path, _key, """{"another":1}"""));
        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal(201, (await PostAsync(gateways.First, path)).Status); // the key was not taken over
        Assert.Equal([null, "2"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
    }

    [StoreFact]
    public async Task Retry_TwiceAtOnce_IsForwardedByOne()
    {
        var path = PolicyGateways.NewPath("retry");
        await MakeUncertainAsync(path);
        using var held = gateways.HoldAt(path);

        var retries = new[] { gateways.First, gateways.Other, gateways.First, gateways.Other }.Select(gateway => PostAsync(gateway, path)).ToList();
        for (var refused = 0; refused < 3; refused++)
        {
            var answered = await Task.WhenAny(retries);
            retries.Remove(answered);
            Expect.InProgress(await answered);
        }

        held.Release();
        var answer = await retries[0];

        Assert.Equal([null, "2"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
        Assert.Equal((201, false), (answer.Status, answer.IsReplay));
    }

    [StoreFact]
    public async Task Retry_OfARequestThatWasNotServedThen_LeavesItUncertain()
    {
        var path = PolicyGateways.NewPath("retry");
        await MakeUncertainAsync(path);
        gateways.AnswerAt(path, context =>
        {
            context.Response.StatusCode = gateways.ArrivalsAt(path).Count == 2 ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK;
            return Task.CompletedTask;
        });

        var refused = await PostAsync(gateways.First, path);
        Assert.Equal((503, "outcome-uncertain"), (refused.Status, refused.Header("Idempotency-Status")));
        Expect.Problem(422, "key-reused", await gateways.PostAsync(gateways.Other, path, _key, """{"another":1}"""));
        Assert.Equal(200, (await PostAsync(gateways.Other, path)).Status);

        Assert.Equal([null, "2", "3"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
    }

    [StoreFact]
    public async Task Retry_WhileTheOwnerSleeps_IsNotOverwrittenWhenItWakes()
    {
        await using var owner = await gateways.StartGatewayAsync();
        var path = PolicyGateways.NewPath("retry");
        using var held = gateways.HoldAt(path);
        var running = PostAsync(owner, path);
        await gateways.ArrivedAsync(path);
        await owner.PauseAsync();
        gateways.AnswerAt(path, gateways.Backend.AnswerCreatedAsync);
        var second = await gateways.PostUntilAnsweredAsync(gateways.First, path, _key, Body);

        await owner.ResumeAsync();
        held.Release();
        var first = await running;
        var retry = await PostAsync(gateways.Other, path);

        Assert.Equal([null, "2"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Assert.NotEqual(first.Text, second.Text);
        Expect.Replay(second, retry);
        await owner.Output.WaitForAsync(line => line.Contains("[2016]", StringComparison.Ordinal));
    }

    [StoreFact]
    public async Task Probe_ThatFindsTheRequest_AnswersAndRecordsWhatItFound()
    {
        var path = PolicyGateways.NewPath("probe");
        AnswerProbe(path, StatusCodes.Status203NonAuthoritative, "what was found");
        await MakeUncertainAsync(path);

        var retry = await PostUntilSettledAsync(path);
        AnswerProbe(path, StatusCodes.Status404NotFound, "");
        var again = await PostAsync(gateways.Other, path);

        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal((203, "what was found", true), (retry.Status, retry.Text, retry.IsReplay));
        Assert.Equal("found", retry.Header("X-State"));
        Assert.Equal((203, "what was found", true), (again.Status, again.Text, again.IsReplay));
    }

    [StoreFact]
    public async Task Probe_ThatDoesNotFindTheRequest_ForwardsItOnceMore()
    {
        var path = PolicyGateways.NewPath("probe");
        AnswerProbe(path, StatusCodes.Status404NotFound, "");
        await MakeUncertainAsync(path);

        var second = await PostAsync(gateways.First, path);
        var retry = await PostAsync(gateways.Other, path);

        Assert.Equal([null, "2"], gateways.ArrivalsAt(path).Select(arrival => arrival.Header(Attempt)));
        Assert.Equal(201, second.Status);
        Expect.Replay(second, retry);
    }

    [StoreFact]
    public async Task Probe_ThatDoesNotFindAYoungAttempt_IsNoPermission()
    {
        var path = PolicyGateways.NewPath("probe-patient");
        AnswerProbe(path, StatusCodes.Status404NotFound, "");
        await MakeUncertainAsync(path);

        Expect.Uncertain(await PostAsync(gateways.First, path));
        Assert.Single(gateways.ArrivalsAt(path));
        var second = await gateways.PostUntilAnsweredAsync(gateways.Other, path, _key, Body);

        Assert.Equal(201, second.Status);
        var arrivals = gateways.ArrivalsAt(path);
        Assert.Equal([null, "2"], arrivals.Select(arrival => arrival.Header(Attempt)));
    }

    [StoreFact]
    public async Task Probe_WithoutAClearAnswer_LeavesTheKeyUncertain()
    {
        var path = PolicyGateways.NewPath("probe");
        AnswerProbe(path, StatusCodes.Status500InternalServerError, "");
        await MakeUncertainAsync(path);

        Expect.Uncertain(await PostAsync(gateways.First, path));
        Expect.Problem(422, "key-reused", await gateways.PostAsync(gateways.Other, path, _key, """{"another":1}"""));
        await gateways.Backend.StopAsync();
        try
        {
            Expect.Uncertain(await PostAsync(gateways.Other, path));
        }
        finally
        {
            await gateways.Backend.StartAgainAsync();
        }

        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task Probe_AsksWithValuesOfTheRequest_AndWithoutTheCallersCredentials()
    {
        var id = $"{Guid.NewGuid():N} ä&b";
        var path = $"/probe/{Uri.EscapeDataString(id)}";
        gateways.AnswerAt($"/probe/{id}", context =>
        {
            context.Abort();
            return Task.CompletedTask;
        });
        var key = $"\"{id[..8]}/?&=#%+\""; // quoted: a structured string
        var answer = await gateways.PostAsync(
            gateways.First, path, key, """{"url":"https://x.example/?a=1&b=%20#c"}""", ("Authorization", "Bearer secret"), ("Cookie", "session=1"));
        Expect.Problem(502, "outcome-uncertain", answer);

        var probe = await gateways.Backend.Ledger.WaitForAsync(arrival => arrival.Target.StartsWith("/status/" + id[..32], StringComparison.Ordinal));

        Assert.Equal(
            $"/status/{Uri.EscapeDataString(id)}?key={Uri.EscapeDataString(key.Trim('"'))}&url={Uri.EscapeDataString("https://x.example/?a=1&b=%20#c")}", probe.Target);
        Assert.Equal(("GET", "the gateway"), (probe.Method, probe.Header("X-Asked-By")));
        Assert.Null(probe.Header("Authorization"));
        Assert.Null(probe.Header("Cookie"));
        Assert.Null(probe.Key);
        var kept = await gateways.ReadAllAsync();
        Assert.DoesNotContain(id[..8] + "/?&", kept, StringComparison.Ordinal);
        Assert.DoesNotContain("x.example", kept, StringComparison.Ordinal);
    }

    [StoreFact]
    public async Task Probe_SpeaksTheVersionOfHttpThatTheClusterIsSpokenToIn()
    {
        var path = PolicyGateways.NewPath("probe-http2");
        AnswerProbe(path, StatusCodes.Status200OK, "found");
        await MakeUncertainAsync(path);

        var retry = await PostUntilSettledAsync(path);
        Assert.Equal((200, "found", true), (retry.Status, retry.Text, retry.IsReplay));
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task Probe_OfARequestWithoutTheValue_IsNotAsked()
    {
        var path = PolicyGateways.NewPath("probe");
        gateways.CutOnceAt(path);
        Expect.Problem(502, "outcome-uncertain", await gateways.PostAsync(gateways.First, path, _key));

        Expect.Uncertain(await gateways.PostAsync(gateways.Other, path, _key));
        Assert.Single(gateways.ArrivalsAt(path));
        Assert.DoesNotContain(gateways.Backend.Ledger, arrival => arrival.Target.StartsWith(StatusOf(path), StringComparison.Ordinal));
    }

    [StoreFact]
    public async Task TheSweeper_SettlesWhatTheBackendFinds_WithoutARetry_AlsoAfterARestart()
    {
        var path = PolicyGateways.NewPath("probe");
        AnswerProbe(path, StatusCodes.Status500InternalServerError, "");
        await MakeUncertainAsync(path);
        await gateways.RestartAsync();

        using var asked = new SyncPoint();
        gateways.AnswerAt(StatusOf(path), async context =>
        {
            asked.Release();
            await AnswerFoundAsync(context, StatusCodes.Status200OK, "found by the sweeper");
        });
        await asked.Released.WaitAsync(Bounds.Wait);
        AnswerProbe(path, StatusCodes.Status500InternalServerError, "");
        var retry = await gateways.PostUntilAnsweredAsync(gateways.First, path, _key, Body);

        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal((200, "found by the sweeper", true), (retry.Status, retry.Text, retry.IsReplay));
    }

    private Task<Answer> PostAsync(GatewayProcess gateway, string path) => gateways.PostAsync(gateway, path, _key, Body);

    /// <summary>The sweeper may be at the same key, a moment before the retry: then the retry is told to come back.</summary>
    private async Task<Answer> PostUntilSettledAsync(string path)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PostAsync(gateways.First, path)).ProblemType != "in-progress", "settled");
        return answer!;
    }

    private static string StatusOf(string path) => $"/status/{path.Split('/')[^1]}";

    private void AnswerProbe(string path, int status, string body) => gateways.AnswerAt(StatusOf(path), context => AnswerFoundAsync(context, status, body));

    private static async Task AnswerFoundAsync(HttpContext context, int status, string body)
    {
        context.Response.StatusCode = status;
        context.Response.Headers["X-State"] = "found";
        context.Response.ContentType = "text/plain";
        await context.Response.WriteAsync(body);
    }

    private async Task MakeUncertainAsync(string path)
    {
        gateways.CutOnceAt(path);
        Expect.Problem(502, "outcome-uncertain", await PostAsync(gateways.First, path));
    }
}

public sealed class EmbeddedRecoveryTests(EmbeddedPolicyGateways gateways) : RecoveryTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisRecoveryTests(RedisPolicyGateways gateways) : RecoveryTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresRecoveryTests(PostgresPolicyGateways gateways) : RecoveryTests(gateways), IClassFixture<PostgresPolicyGateways>;
