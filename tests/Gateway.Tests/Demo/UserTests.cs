using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

public sealed class UserSqliteTests() : UserTests(DatabaseKind.Sqlite);

[OnPostgres(ownServer: false)]
public sealed class UserPostgresTests() : UserTests(DatabaseKind.Postgres);

/// <summary>Seed 003: one user, one event and one welcome e-mail, however often and from wherever the user is asked for.</summary>
/// <remarks>The round trip is such that parallel requests meet between look-up and insert.</remarks>
public abstract class UserTests(DatabaseKind kind) : DemoBackendTest(kind, "--round-trip", "100")
{
    const int Parallel = 200;

    static readonly object Ann = new { email = "ann@example.org", name = "Ann" };

    [StoreFact]
    public async Task A_user_is_made_once_and_the_second_call_is_told_so()
    {
        var first = await Demo.PostAsync("/api/users", Ann);
        var second = await Demo.PostAsync("/api/users", new { email = "ann@example.org", name = "Another Ann" });

        await AssertOneOfEachAsync();
        Assert.Equal((201, "/api/users/1", ""), (first.Status, first.Header("Location"), first.Text));
        Assert.Equal((200, "User exists"), (second.Status, second.Text));
        Assert.Equal("""{"id":1,"email":"ann@example.org","name":"Ann"}""", (await Demo.GetAsync("/api/users/1")).Text);
        Assert.Equal(404, (await Demo.GetAsync("/api/users/2")).Status);
    }

    [StoreFact]
    public async Task Parallel_calls_with_one_email_make_one_user()
    {
        Task<Answer[]> PostManyAsync(object user) => Task.WhenAll(Enumerable.Range(0, Parallel).Select(_ => Demo.PostAsync("/api/users", user)));
        var answers = await PostManyAsync(Ann);

        await AssertOneOfEachAsync();
        Assert.Single(answers, answer => answer.Status == 201);
        Assert.All(answers, answer => Assert.Contains(answer.Status, (int[])[201, 200, 409]));
        Assert.All(
            answers.Where(answer => answer.Status == 409),
            answer => Assert.Contains("Sorry, another request is being processed at this moment", answer.Text, StringComparison.Ordinal));

        // Some meet the first one at work; on a machine that is busy, perhaps not at the first go.
        var others = 0;
        await Eventually.TrueAsync(
            async () => answers.Any(answer => answer.Status == 409) || (await PostManyAsync(new { email = $"{others++}@example.org", name = "Bob" })).Any(answer => answer.Status == 409),
            "some are told that another request is being processed");
    }

    [StoreFact]
    public async Task Parallel_calls_through_the_gateway_with_a_key_each_make_one_user()
    {
        await using var gateway = await StartGatewayAsync();
        using var client = KeyedRequests.NewClient();
        var statuses = await DemoHost.InParallelAsync(Parallel, _ => PostAsync(client, gateway, EmbeddedGateway.NewKey()));

        await AssertOneOfEachAsync();
        Assert.Single(statuses, 201);
        Assert.All(statuses, status => Assert.Contains(status, (int[])[201, 200, 409]));
    }

    [StoreFact]
    public async Task Parallel_calls_through_the_gateway_with_one_key_make_one_user_and_get_its_answer()
    {
        await using var gateway = await StartGatewayAsync();
        using var client = KeyedRequests.NewClient();
        var answers = await Task.WhenAll(Enumerable.Range(0, Parallel).Select(_ => PostAsync(client, gateway, "one-key")));
        var retry = await PostAsync(client, gateway, "one-key");

        await AssertOneOfEachAsync();
        Assert.Single(answers, answer => answer.Status == 201 && !answer.IsReplay);
        Assert.All(answers, answer => Assert.True(answer.Status == 201 || answer.ProblemType == "in-progress", answer.Text));
        Assert.Equal((201, true, "/api/users/1"), (retry.Status, retry.IsReplay, retry.Header("Location")));
    }

    [StoreFact]
    public async Task Two_jobs_over_one_database_send_each_email_once()
    {
        const int Users = 50;
        await RestartAsync("--round-trip", "0");
        await using var second = await DemoHost.StartAsync(Database, "--round-trip", "0");
        var statuses = await Task.WhenAll(Enumerable.Range(0, Users).Select(async i =>
        {
            // A transaction that lost against another user's is tried again, as the seed's answer asks for.
            var status = 409;
            while (status == 409)
            {
                var demo = i % 2 == 0 ? Demo : second;
                status = (await demo.PostAsync("/api/users", new { email = $"user-{i}@example.org", name = "Ann" })).Status;
            }
            return status;
        }));

        Assert.All(statuses, status => Assert.Equal(201, status));
        await Eventually.TrueAsync(async () => await Demo.CountAsync("users", "emails") >= Users, "all e-mails are sent");
        Assert.Equal(new UserCounts(Users, 0, Users, Users), await Demo.CountUsersAsync());
    }

    async Task AssertOneOfEachAsync()
    {
        await Eventually.TrueAsync(async () => await Demo.CountAsync("users", "emails") >= 1, "the welcome e-mail is sent");
        Assert.Equal(new UserCounts(1, 0, 1, 1), await Demo.CountUsersAsync());
    }

    Task<GatewayProcess> StartGatewayAsync() =>
        GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/api/{**rest}", Demo.Url)),
            new Dictionary<string, string> { ["Store__Timeout"] = "00:00:10" }); // 200 requests at once, on a machine that is shared

    static Task<Answer> PostAsync(HttpClient client, GatewayProcess gateway, string key) =>
        KeyedRequests.PostAsync(client, gateway.Url + "/api/users", key, """{"email":"ann@example.org","name":"Ann"}""");
}
