using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>A policy that only observes: every request is forwarded, every answer is the backend's, and a header field tells the rest.</summary>
public abstract class ObserveTests(PolicyGateways gateways)
{
    private readonly string _path = PolicyGateways.NewPath("observe");
    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task ARetry_WouldHaveBeenReplayed()
    {
        ExpectObserved("forwarded", 201, await gateways.PostAsync(gateways.First, _path, _key));
        ExpectObserved("replayed", 201, await gateways.PostAsync(gateways.First, _path, _key));
        ExpectObserved("replayed", 201, await gateways.PostAsync(gateways.Other, _path, _key));

        Assert.Equal(3, gateways.ArrivalsAt(_path).Count);
        Assert.All(gateways.ArrivalsAt(_path), arrival => Assert.Equal(_key, arrival.Key));
    }

    [StoreFact]
    public async Task ADuplicate_WouldHaveBeenInProgress_AndIsForwardedBesideTheFirst()
    {
        using var held = gateways.HoldAt(_path);
        var first = gateways.PostAsync(gateways.First, _path, _key);
        await gateways.ArrivedAsync(_path);
        var duplicate = gateways.PostAsync(gateways.Other, _path, _key);
        await gateways.ArrivedAsync(_path, 2);
        held.Release();

        ExpectObserved("forwarded", 201, await first);
        ExpectObserved("in-progress", 201, await duplicate);
    }

    [StoreFact]
    public async Task AnotherRequestUnderTheKey_WouldHaveBeenKeyReuse()
    {
        await gateways.PostAsync(gateways.First, _path, _key);
        ExpectObserved("key-reused", 201, await gateways.PostAsync(gateways.Other, _path, _key, """{"another":1}"""));
        Assert.Equal(2, gateways.ArrivalsAt(_path).Count);
    }

    [StoreFact]
    public async Task AnUncertainOutcome_WouldHaveBeenRefused()
    {
        gateways.CutOnceAt(_path);
        Assert.Equal(502, (await gateways.PostAsync(gateways.First, _path, _key)).Status);
        ExpectObserved("outcome-uncertain", 201, await gateways.PostAsync(gateways.Other, _path, _key));
        Assert.Equal(2, gateways.ArrivalsAt(_path).Count);
    }

    [StoreFact]
    public async Task AKeyThatIsMissingOrNotValid_IsTold()
    {
        ExpectObserved("key-missing", 201, await gateways.PostAsync(gateways.First, _path, key: null));
        ExpectObserved("key-invalid", 201, await gateways.PostAsync(gateways.First, _path, "not a key"));
        Assert.Equal([null, "not a key"], gateways.ArrivalsAt(_path).Select(arrival => arrival.Key));
    }

    [StoreFact]
    public async Task ARequestThatIsTooLarge_ReachesTheBackendWhole()
    {
        var body = new string('x', 100 * PolicyGateways.SmallLimit);
        ExpectObserved("request-too-large", 201, await gateways.PostAsync(gateways.First, _path, _key, body));
        var chunked = await RawClient.ExchangeAsync(
            gateways.First.Url,
            $"POST {_path} HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {_key}\r\nTransfer-Encoding: chunked\r\n\r\n{body.Length:x}\r\n{body}\r\n0\r\n\r\n");

        Assert.Equal((201, "bypassed; would=request-too-large"), (chunked!.Status, chunked.Header("Idempotency-Status")));
        Assert.Equal([body.Length, body.Length], gateways.ArrivalsAt(_path).Select(arrival => arrival.Body.Length));
    }

    [StoreFact]
    public async Task WhenTheStoreIsDown_RequestsAreForwarded()
    {
        await using (await gateways.SuspendStoreAsync())
        {
            ExpectObserved("store-unavailable", 201, await gateways.PostAsync(gateways.First, _path, _key));
        }

        Assert.Single(gateways.ArrivalsAt(_path));
        await Eventually.TrueAsync(async () => Would(await gateways.PostAsync(gateways.First, _path, EmbeddedGateway.NewKey())) == "forwarded", "the store is back");
    }

    [StoreFact]
    public async Task AnUpgrade_IsTreatedAsOnAnUnguardedRoute()
    {
        var plain = PolicyGateways.NewPath("plain");
        var answers = new List<Http1Message>();
        foreach (var path in (string[])[plain, _path])
        {
            answers.Add((await RawClient.ExchangeAsync(
                gateways.First.Url,
                $"POST {path} HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {_key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"))!);
        }

        Assert.Equal(answers[0].StartLine, answers[1].StartLine);
        Assert.Equal(gateways.ArrivalsAt(plain).Select(arrival => arrival.Method), gateways.ArrivalsAt(_path).Select(arrival => arrival.Method));
        Assert.Equal("bypassed; would=upgrade-not-supported", answers[1].Header("Idempotency-Status"));
    }

    [StoreFact]
    public async Task Answers_AreByteForByteThoseOfAnUnguardedRoute()
    {
        foreach (var answer in Answers)
        {
            var (plain, observed, key) = (PolicyGateways.NewPath("plain"), PolicyGateways.NewPath("observe"), EmbeddedGateway.NewKey());
            gateways.AnswerAt(plain, answer);
            gateways.AnswerAt(observed, answer);
            var expected = await ExchangeAsync(plain, key);

            Assert.Equal(expected, await ExchangeAsync(observed, key)); // the first
            Assert.Equal(expected, await ExchangeAsync(observed, key)); // what would have been a replay, or something else
        }

        Assert.Equal(
            await ExchangeAsync(PolicyGateways.NewPath("plain-down"), _key), await ExchangeAsync(PolicyGateways.NewPath("observe-down"), _key));
    }

    private static IReadOnlyList<Func<HttpContext, Task>> Answers =>
    [
        context => context.Response.WriteAsync("chunked"),
        context =>
        {
            context.Response.ContentLength = 5;
            context.Response.Headers.SetCookie = "session=1";
            context.Response.Headers["Idempotent-Replayed"] = "true";
            context.Response.Headers.CacheControl = "no-store";
            return context.Response.WriteAsync("known");
        },
        context =>
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return Task.CompletedTask;
        },
        context =>
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            context.Response.Headers.RetryAfter = "7";
            return context.Response.WriteAsync("busy");
        },
        context =>
        {
            context.Response.StatusCode = StatusCodes.Status502BadGateway;
            return context.Response.WriteAsync("somebody behind");
        },
        async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await context.Response.Body.FlushAsync();
            await context.Response.WriteAsync("data: 2\n\n");
        },
        context =>
        {
            context.Abort();
            return Task.CompletedTask;
        },
    ];

    private static string? Would(Answer answer) => answer.Header("Idempotency-Status")?.Split('=')[^1];

    private static void ExpectObserved(string would, int status, Answer answer)
    {
        Assert.Equal((status, $"bypassed; would={would}"), (answer.Status, answer.Header("Idempotency-Status")));
        Assert.False(answer.IsReplay);
        Assert.Null(answer.Problem);
    }

    /// <summary>Status line, header lines and framed body, but for the observation and what differs from one moment to the next.</summary>
    private async Task<string> ExchangeAsync(string path, string key)
    {
        var answer = await RawClient.ExchangeAsync(
            gateways.First.Url, $"POST {path} HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}");
        Assert.Equal(path.StartsWith("/observe", StringComparison.Ordinal), answer!.Header("Idempotency-Status") is not null);
        var fields = answer.Headers.Where(field => field.Key is not ("Date" or "Idempotency-Status")).Select(field => $"{field.Key}: {field.Value}");
        return string.Join('\n', [answer.StartLine, .. fields.Order(StringComparer.Ordinal), $"{answer.Framing}", answer.Text]);
    }
}

public sealed class EmbeddedObserveTests(EmbeddedPolicyGateways gateways) : ObserveTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisObserveTests(RedisPolicyGateways gateways) : ObserveTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresObserveTests(PostgresPolicyGateways gateways) : ObserveTests(gateways), IClassFixture<PostgresPolicyGateways>;
