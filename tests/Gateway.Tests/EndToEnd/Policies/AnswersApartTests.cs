using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Yarp;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// Large answers in a server that may lose everything (<c>Store:Answers</c>), over each store: two gateways without near copies, and a
/// Redis of their own behind a link of their own. Whatever befalls it, no request runs twice.
/// </summary>
public abstract class AnswersApartTests(PolicyGateways gateways) : IAsyncLifetime
{
    private const int Large = 100_000;
    private const int Huge = 10 * 1024 * 1024;
    private static readonly string Key = Convert.ToBase64String(Enumerable.Repeat((byte)1, 32).ToArray());

    private readonly List<GatewayProcess> _started = [];
    private RedisServer? _answers;
    private TcpProxy? _link;

    private RedisServer Answers => _answers!;

    private TcpProxy Link => _link!;

    private GatewayProcess First => _started[0];

    private GatewayProcess Other => _started[1];

    public async Task InitializeAsync()
    {
        _answers = await RedisServer.StartOwnAsync("--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru");
        _link = TcpProxy.Start(_answers.Configuration);
        _started.AddRange(await Task.WhenAll(StartAsync(), StartAsync()));
    }

    public async Task DisposeAsync()
    {
        foreach (var gateway in _started)
        {
            await gateway.DisposeAsync();
        }

        await (_link?.DisposeAsync() ?? default);
        await (_answers?.DisposeAsync() ?? default);
    }

    [StoreTheory]
    [InlineData(Large)]
    [InlineData(Huge)]
    public async Task ALargeAnswer_IsReplayedByteForByte_ThroughAnotherInstance_AndItsRecordIsSmall(int size)
    {
        var answer = await RecordAsync(size);

        var replay = await RetryUntilServedAsync(Other, answer);
        var again = await RetryUntilServedAsync(First, answer);

        Assert.Single(gateways.ArrivalsAt(answer.Path));
        Expect.Replay(answer.First, replay);
        Expect.Replay(answer.First, again);
        Assert.Equal(answer.Body, replay.Body);
        Assert.InRange(answer.Record.Length, 1, 512);
        Assert.Equal(RecordFormat.VersionApart, answer.Record[0]);
        Assert.InRange(int.Parse(await Answers.CommandAsync("TTL", answer.Name), CultureInfo.InvariantCulture), 86_400, 86_460);
    }

    [StoreFact]
    public async Task ASmallAnswer_StaysInItsRecord_AsOlderReleasesReadIt()
    {
        var names = await NamesAsync();
        var before = (await gateways.ReadAnswersAsync()).Keys;
        var small = await PostAsync(First, "wait", 16 * 1024 - 1);

        Assert.Equal(names, await NamesAsync());
        Assert.Equal(RecordFormat.Version, Assert.Single(await gateways.ReadAnswersAsync(), entry => !before.Contains(entry.Key)).Value[0]);
        Expect.Replay(small.First, await RetryAsync(Other, small));
    }

    [StoreFact]
    public async Task BodiesThatAreLost_AreSaidToBeLost_AndNothingRunsAgain()
    {
        var lost = await RecordAsync(Large);
        await Answers.FlushAllAsync();

        foreach (var gateway in (GatewayProcess[])[Other, First, Other])
        {
            Gone(lost, await RetryAsync(gateway, lost));
        }

        var next = await RecordAsync(Large);
        Expect.Replay(next.First, await RetryAsync(Other, next));
        Assert.Single(gateways.ArrivalsAt(lost.Path));
    }

    [StoreFact]
    public async Task AServerThatEvicts_LosesAnswers_AndNoExecution()
    {
        await Answers.CommandAsync("CONFIG", "SET", "maxmemory", "4mb");
        var recorded = new List<Recorded>();
        for (var i = 0; i < 60; i++)
        {
            recorded.Add(await PostAsync(First, "wait", Large));
        }

        var (kept, gone) = (0, 0);
        foreach (var answer in recorded)
        {
            var retry = await RetryAsync(Other, answer);
            if (retry.IsReplay)
            {
                Expect.Replay(answer.First, retry);
                kept++;
            }
            else
            {
                Gone(answer, retry);
                gone++;
            }

            Assert.Single(gateways.ArrivalsAt(answer.Path));
        }

        Assert.True(kept > 0 && gone > 0, $"{kept} kept, {gone} gone");
    }

    [StoreFact]
    public async Task WithoutTheServer_LargeAnswersGoIntoTheStore_LargerOnesAreNotKept_AndRecordedOnesWait()
    {
        var apart = await RecordAsync(Large);
        await Answers.StopAsync();

        await RefusedAsync(apart);
        var inline = await PostAsync(First, "wait", Large);
        Expect.Replay(inline.First, await RetryAsync(Other, inline));
        var dropped = await PostAsync(First, "wait", Huge);
        Assert.Equal((201, "answer-not-kept"), (dropped.First.Status, dropped.First.Header("Idempotency-Status")));
        Assert.Equal(dropped.Body, dropped.First.Body);
        Expect.NotKept(TombstoneReason.NoRoom, 201, dropped.Path, await RetryAsync(Other, dropped));
        for (var i = 0; i < 3; i++)
        {
            Expect.Replay(inline.First, await RetryAsync(Other, inline));
            await PostAsync(First, "wait", Large); // until the gateway believes it
        }

        await First.Output.WaitForAsync(line => line.Contains("[2050]", StringComparison.Ordinal) && line.Contains("written", StringComparison.Ordinal));
        await First.Output.WaitForAsync(line => line.Contains("[1022]", StringComparison.Ordinal));
        Assert.Equal(200, (int)(await gateways.Client.GetAsync(First.AdminUrl + "/readyz")).StatusCode);

        await Answers.StartAsync();
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await RetryAsync(Other, apart)).Status != 503, "the server is found again");
        Gone(apart, retry!); // it came back empty
        Expect.Replay(inline.First, await RetryAsync(Other, inline));
        var next = await RecordAsync(Large);
        Expect.Replay(next.First, await RetryAsync(Other, next));
        await First.Output.WaitForAsync(line => line.Contains("[2051]", StringComparison.Ordinal));
        Assert.Equal(1, First.Output.Count(line => line.Contains("[2050]", StringComparison.Ordinal) && line.Contains("written", StringComparison.Ordinal)));
        Assert.All((Recorded[])[apart, inline, dropped], answer => Assert.Single(gateways.ArrivalsAt(answer.Path)));
    }

    [StoreFact]
    public async Task ASilentLink_CostsAFirstAnswerLittle_AndARetryIsToldToComeBack()
    {
        var apart = await RecordAsync(Large);
        Link.BlackHole();

        await RefusedAsync(apart);
        var inline = new List<Recorded>();
        var slowest = TimeSpan.Zero;
        for (var i = 0; i < 10; i++)
        {
            var began = TimeProvider.System.GetTimestamp();
            inline.Add(await PostAsync(First, "wait", Large));
            slowest = TimeProvider.System.GetElapsedTime(began) is var took && took > slowest ? took : slowest;
        }

        Assert.InRange(slowest, AnswersServer.WriteTimeout - TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(2));
        foreach (var answer in inline)
        {
            Expect.Replay(answer.First, await RetryAsync(Other, answer));
        }

        Link.Heal();
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await RetryAsync(Other, apart)).Status != 503, "the server is found again");
        Expect.Replay(apart.First, retry!);
        Assert.All([apart, .. inline], answer => Assert.Single(gateways.ArrivalsAt(answer.Path)));
    }

    [StoreFact]
    public async Task ABodyWithOneByteAltered_IsNotGiven_AndTheLogSaysSo()
    {
        var answer = await RecordAsync(Large);
        var value = await Answers.CommandAsync("HGET", answer.Name, "data");
        foreach (var altered in (string[])[Flipped(value, 0), Flipped(value, 1), Flipped(value, Large / 2), Flipped(value, Large), value[..^1], value + "x", ""])
        {
            await Answers.CommandAsync("HSET", answer.Name, "data", altered);
            NotGiven("Altered", answer, await RetryAsync(Other, answer));
        }

        await Answers.CommandAsync("HSET", answer.Name, "data", value);
        Expect.Replay(answer.First, await RetryAsync(Other, answer));
        Assert.Single(gateways.ArrivalsAt(answer.Path));
        await Eventually.TrueAsync(() => Other.Output.Count(line => line.Contains("[1020]", StringComparison.Ordinal)) == 7, "each is logged");
    }

    [StoreFact]
    public async Task ASealedBody_CannotBeRead_Edited_OrMoved()
    {
        await using var first = await StartAsync(("Idempotency__Encryption__ActiveKey", "old"), ("Idempotency__Encryption__Keys__old", Key));
        await using var other = await StartAsync(("Idempotency__Encryption__ActiveKey", "old"), ("Idempotency__Encryption__Keys__old", Key));
        var answer = await RecordAsync(Large, first);
        var another = await RecordAsync(Large, first);
        var value = await Answers.CommandAsync("HGET", answer.Name, "data");
        Assert.DoesNotContain(Encoding.Latin1.GetString(answer.Body.AsSpan(0, 64)), value, StringComparison.Ordinal);
        Expect.Replay(answer.First, await RetryAsync(other, answer));

        string[] wrong = [Flipped(value, 0), Flipped(value, 1), Flipped(value, 2), Flipped(value, 40), Flipped(value, value.Length - 1), await Answers.CommandAsync("HGET", another.Name, "data")];
        foreach (var altered in (string[])[.. wrong, $"\0{Encoding.Latin1.GetString(answer.Body)}"])
        {
            await Answers.CommandAsync("HSET", answer.Name, "data", altered);
            NotGiven("Altered", answer, await RetryAsync(other, answer));
        }

        Assert.Single(gateways.ArrivalsAt(answer.Path));
    }

    [StoreFact]
    public async Task ThoseThatWait_GetTheWholeAnswer_FetchedOnce()
    {
        var path = PolicyGateways.NewPath("wait");
        var body = RandomNumberGenerator.GetBytes(Large);
        using var held = new SyncPoint();
        gateways.AnswerAt(path, async context =>
        {
            await held.Released;
            await AnswerAsync(context, path, body);
        });
        var key = EmbeddedGateway.NewKey();
        var first = gateways.PostAsync(First, path, key);
        await gateways.ArrivedAsync(path);
        var waiting = Task.WhenAll(Enumerable.Range(0, 12).Select(_ => gateways.PostAsync(Other, path, key)));
        held.Release();

        Assert.All(await waiting, replay => Assert.Equal((201, true), (replay.Status, replay.IsReplay)));
        Assert.All(await waiting, replay => Assert.Equal(body, replay.Body));
        Assert.Equal(body, (await first).Body);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task StreamedObservedAndProbedAnswers_AreKeptApartToo()
    {
        var streamed = await RecordAsync(Large, policy: "streamed");
        Expect.Replay(streamed.First with { Headers = [.. streamed.First.Headers] }, await RetryAsync(Other, streamed));

        var observed = await RecordAsync(Large, policy: "observe");
        Assert.Equal("bypassed; would=replayed", (await RetryAsync(Other, observed)).Header("Idempotency-Status"));

        // The sweep of another gateway, which keeps answers inline, may come first.
        await Eventually.TrueAsync(IsProbedAnswerKeptApartAsync, "an answer that a probe found is kept apart");
    }

    [StoreFact]
    public async Task TheOwnersNearCopy_HoldsTheWholeAnswer_AndAGatewayThatKeepsAnswersInline_AsksForPatience()
    {
        await using var near = await StartAsync(("Idempotency__NearCopy__MaxEntries", "100"));
        await using var inline = await StartAsync(("Store__Answers__Kind", "Inline"));
        var answer = await RecordAsync(Large, near);
        Expect.Replay(answer.First, await RetryAsync(Other, answer));
        Expect.Problem(503, "store-unavailable", await RetryAsync(inline, answer));
        await Answers.FlushAllAsync();

        Expect.Replay(answer.First, await RetryAsync(near, answer));
        Gone(answer, await RetryAsync(Other, answer));
        Assert.Single(gateways.ArrivalsAt(answer.Path));
    }

    private async Task<bool> IsProbedAnswerKeptApartAsync()
    {
        var names = await NamesAsync();
        var path = PolicyGateways.NewPath("probe");
        var (key, body) = (EmbeddedGateway.NewKey(), RandomNumberGenerator.GetBytes(Large));
        gateways.CutOnceAt(path);
        gateways.AnswerAt(path.Replace("/probe/", "/status/", StringComparison.Ordinal), context => AnswerAsync(context, path, body, status: 200));
        Expect.Problem(502, "outcome-uncertain", await gateways.PostAsync(First, path, key, """{"url":"x"}"""));
        Answer? found = null;
        await Eventually.TrueAsync(async () => (found = await gateways.PostAsync(Other, path, key, """{"url":"x"}""")).ProblemType != "in-progress", "a sweep that asks at this moment has its answer");
        var again = await gateways.PostAsync(First, path, key, """{"url":"x"}""");

        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal((200, true), (found!.Status, found.IsReplay));
        Assert.Equal(body, found.Body);
        Assert.Equal(body, again.Body);
        return (await NamesAsync()).Count > names.Count;
    }

    private Task<GatewayProcess> StartAsync(params (string Name, string Value)[] environment)
    {
        var all = new Dictionary<string, string>
        {
            ["Store__Answers__Kind"] = "Redis",
            ["Store__Answers__Redis__Configuration"] = Link.Endpoint,
            ["Idempotency__NearCopy__MaxEntries"] = "0",
        };
        foreach (var policy in (string[])["wait", "streamed", "observe"])
        {
            all[$"Idempotency__Policies__{policy}__Response__MaxBodyBytes"] = "16777216";
        }

        foreach (var (name, value) in environment)
        {
            all[name] = value;
        }

        return gateways.StartGatewayAsync([.. all.Select(setting => (setting.Key, setting.Value))]);
    }

    /// <summary>One request that was executed, and what its client got.</summary>
    private sealed record Recorded(string Path, string IdempotencyKey, byte[] Body, Answer First, string Name = "", byte[]? Bytes = null)
    {
        public byte[] Record => Bytes!;
    }

    /// <summary>Has a request executed whose answer is kept apart; a busy machine may not manage the first in time.</summary>
    private async Task<Recorded> RecordAsync(int size, GatewayProcess? gateway = null, string policy = "wait")
    {
        Recorded? recorded = null;
        await Eventually.TrueAsync(
            async () =>
            {
                var (names, records) = (await NamesAsync(), (await gateways.ReadAnswersAsync()).Keys);
                var answer = await PostAsync(gateway ?? First, policy, size);
                byte[]? record = null;
                await Eventually.TrueAsync( // a streamed answer is recorded when its client has it
                    async () => (record = (await gateways.ReadAnswersAsync()).SingleOrDefault(entry => !records.Contains(entry.Key)).Value) is not null, "it is recorded");
                var name = (await NamesAsync()).Except(names).ToList();
                // A write that came too late for its answer may be there beside it, and the record have the answer itself, or, of a huge one, none.
                var isApart = record!.Length < size && (size <= AnswersSettings.MaxInlineBytes || record[0] == RecordFormat.VersionApart);
                recorded = name.Count == 1 && isApart ? answer with { Name = name[0], Bytes = record } : null;
                return recorded is not null;
            },
            "an answer is kept apart");
        return recorded!;
    }

    private async Task<Recorded> PostAsync(GatewayProcess gateway, string policy, int size)
    {
        var (path, key, body) = (PolicyGateways.NewPath(policy), EmbeddedGateway.NewKey(), RandomNumberGenerator.GetBytes(size));
        gateways.AnswerAt(path, context => AnswerAsync(context, path, body));
        var answer = await gateways.PostAsync(gateway, path, key);
        Assert.Equal(201, answer.Status);
        Assert.Equal(body, answer.Body);
        return new Recorded(path, key, body, answer);
    }

    private static async Task AnswerAsync(HttpContext context, string location, byte[] body, int status = 201)
    {
        context.Response.StatusCode = status;
        context.Response.Headers.Location = location;
        context.Response.Headers.Append("X-Several", "one");
        context.Response.Headers.Append("X-Several", "two");
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body);
    }

    private Task<Answer> RetryAsync(GatewayProcess gateway, Recorded answer) => gateways.PostAsync(gateway, answer.Path, answer.IdempotencyKey);

    /// <summary>A busy machine may not fetch a huge one in time.</summary>
    private async Task<Answer> RetryUntilServedAsync(GatewayProcess gateway, Recorded answer)
    {
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await RetryAsync(gateway, answer)).ProblemType != "store-unavailable", "it is fetched");
        return retry!;
    }

    private async Task RefusedAsync(Recorded answer)
    {
        var began = TimeProvider.System.GetTimestamp();
        var retry = await RetryAsync(Other, answer);
        Expect.Problem(503, "store-unavailable", retry);
        Assert.Equal("2", retry.Header("Retry-After"));
        Assert.InRange(TimeProvider.System.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(4));
    }

    private static void Gone(Recorded answer, Answer retry) => NotGiven("Gone", answer, retry);

    private static void NotGiven(string reason, Recorded answer, Answer retry)
    {
        Expect.Problem(409, "answer-not-kept", retry);
        var original = retry.Problem!.Value.GetProperty("original");
        Assert.Equal(
            (201, answer.Path, reason),
            (original.GetProperty("status").GetInt32(), original.GetProperty("location").GetString(), original.GetProperty("reason").GetString()));
    }

    private static string Flipped(string value, int position) => $"{value[..position]}{(char)(value[position] ^ 1)}{value[(position + 1)..]}";

    private async Task<IReadOnlyList<string>> NamesAsync() =>
        [.. (await Answers.CommandAsync("KEYS", "idem:answer:*")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal)];
}

[OnRedis]
public sealed class EmbeddedAnswersApartTests(EmbeddedPolicyGateways gateways) : AnswersApartTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisAnswersApartTests(RedisPolicyGateways gateways) : AnswersApartTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnRedis]
[OnPostgres]
public sealed class PostgresAnswersApartTests(PostgresPolicyGateways gateways) : AnswersApartTests(gateways), IClassFixture<PostgresPolicyGateways>;
