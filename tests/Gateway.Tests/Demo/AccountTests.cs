using DemoBackend;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

public sealed class AccountSqliteTests() : AccountTests(DatabaseKind.Sqlite);

[OnPostgres(ownServer: false)]
public sealed class AccountPostgresTests() : AccountTests(DatabaseKind.Postgres);

/// <summary>Seed 002, the form that knows keys: an interrupted request goes on where it stands, by a retry or by the completer.</summary>
/// <remarks>Without the completer, unless a test asks for it.</remarks>
public abstract class AccountTests(DatabaseKind kind) : DemoBackendTest(kind, "--completer-interval", "0", "--foreign-timeout", "1000")
{
    static readonly string[] Calls = ["Core-Banking", "Deposit", "Registry"];
    static readonly string[] Failures = ["before", "after", "half", "500", "503"];

    [StoreFact]
    public async Task A_finished_key_gives_its_answer_again()
    {
        var first = await PostAsync("A-1", "key");
        var second = await PostAsync("A-1", "key");

        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());
        Assert.Equal(
            (201, "/accounts/1", """{"id":1,"reference":"A-1","owner":"Ann","deposit":100,"status":"open"}"""),
            (first.Status, first.Header("Location"), first.Text));
        Assert.Equal((201, "/accounts/1", first.Text), (second.Status, second.Header("Location"), second.Text));
        Assert.Equal(first.Text, (await Demo.GetAsync("/accounts/1")).Text);
        Assert.Equal(first.Text, (await Demo.GetAsync("/accounts?reference=A-1")).Text);
        Assert.Equal(404, (await Demo.GetAsync("/accounts/2")).Status);
    }

    [StoreFact]
    public async Task A_key_with_other_parameters_is_refused_finished_or_not()
    {
        await PostAsync("A-1", "key-1");
        await PostAsync("A-2", "key-2", ("X-Demo-Fail-Registry", "before"));
        var finished = await PostAsync("A-3", "key-1");
        var unfinished = await PostAsync("A-3", "key-2");

        Assert.Equal(new(2, 2, 2, 1, 0, 1), await Demo.CountAccountsAsync());
        Assert.Equal((422, 422), (finished.Status, unfinished.Status));
    }

    [StoreFact]
    public async Task From_every_recovery_point_a_retry_finishes_what_was_begun()
    {
        await BreakOffEverywhereAsync();
        await RestartAsync();
        var retries = await Task.WhenAll(EveryInterruption.Select(interruption => PostUntilFinishedAsync(interruption, interruption)));

        Assert.Equal(AccountCounts.Each(EveryInterruption.Count), await Demo.CountAccountsAsync());
        Assert.All(retries, retry => Assert.Equal(201, retry.Status));
    }

    [StoreFact]
    public async Task From_every_recovery_point_the_completer_finishes_what_was_begun()
    {
        await BreakOffEverywhereAsync();
        Assert.Equal(EveryInterruption.Count, (await Demo.CountAccountsAsync()).Unfinished);
        await RestartAsync("--completer-interval", "50", "--completer-after", "0");
        await Eventually.TrueAsync(async () => (await Demo.CountAccountsAsync()).Unfinished == 0, "all keys are finished");

        Assert.Equal(AccountCounts.Each(EveryInterruption.Count), await Demo.CountAccountsAsync());
        var late = await PostAsync(EveryInterruption[0], EveryInterruption[0]);
        Assert.Equal(AccountCounts.Each(EveryInterruption.Count), await Demo.CountAccountsAsync());
        Assert.Equal(201, late.Status);
    }

    [StoreFact]
    public async Task The_completer_leaves_alone_what_was_touched_a_moment_ago()
    {
        await PostAsync("A-1", "key-1", ("X-Demo-Fail-Registry", "before"));
        await RestartAsync("--completer-interval", "20", "--completer-after", "600000");
        await Demo.PostAsync("/api/users", new { email = "ann@example.org", name = "Ann" });
        await Eventually.TrueAsync(async () => await Demo.CountAsync("users", "emails") == 1, "another job had its turn");

        Assert.Equal(1, (await Demo.CountAccountsAsync()).Unfinished);
    }

    [StoreFact]
    public async Task Two_completers_and_many_clients_at_once_open_each_account_once()
    {
        const int Accounts = 10;
        string[] busy = ["--completer-interval", "10", "--completer-after", "0"];
        await RestartAsync(busy);
        await using var second = await DemoHost.StartAsync(Database, busy);
        var answers = await Task.WhenAll(
            from i in Enumerable.Range(0, Accounts * 4)
            select PostUntilFinishedAsync($"A-{i % Accounts}", $"key-{i % Accounts}", i % 2 == 0 ? Demo : second));

        Assert.Equal(AccountCounts.Each(Accounts), await Demo.CountAccountsAsync());
        Assert.All(answers, answer => Assert.Equal(201, answer.Status));
        Assert.Equal(Accounts, answers.Select(answer => answer.Text).Distinct().Count());
    }

    [StoreFact]
    public async Task A_foreign_system_that_says_nothing_is_not_waited_for_for_ever()
    {
        await using var silent = TcpProxy.Start(new Uri(Demo.ForeignUrl).Authority);
        silent.BlackHole();
        await using var patient = await DemoHost.StartAsync(
            Database, "--completer-interval", "0", "--foreign-timeout", "300", "--core-banking", $"http://{silent.Endpoint}");
        var answer = await PostAsync("A-1", "key", patient);

        Assert.Equal(AccountCounts.None with { Unfinished = 1 }, await Demo.CountAccountsAsync());
        Assert.Equal((503, "1"), (answer.Status, answer.Header("Retry-After")));

        silent.Heal();
        Assert.Equal(201, (await PostUntilFinishedAsync("A-1", "key", patient)).Status);
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task An_unknown_recovery_point_is_a_bug_and_said_so()
    {
        await PostAsync("A-1", "key", ("X-Demo-Fail-Registry", "before"));
        await using (var connection = await Demo.Part<Database>().OpenAsync())
        await using (var spoil = connection.Command("UPDATE idempotency_keys SET recovery_point = 'elsewhere'"))
            await spoil.ExecuteNonQueryAsync();
        var bug = await Assert.ThrowsAsync<InvalidOperationException>(() => Demo.Part<AccountWalk>().WalkAsync("key", ForeignFaults.None));

        Assert.Equal(new(1, 1, 1, 0, 0, 1), await Demo.CountAccountsAsync());
        Assert.Equal("Bug! Unhandled recovery point 'elsewhere'", bug.Message);
    }

    /// <summary>Each foreign call and each way to fail: name, reference and key of one request.</summary>
    static List<string> EveryInterruption { get; } = [.. from call in Calls from fault in Failures select $"{call}:{fault}"];

    async Task BreakOffEverywhereAsync()
    {
        foreach (var interruption in EveryInterruption)
        {
            var (call, fault) = (interruption.Split(':')[0], interruption.Split(':')[1]);
            var answer = await PostAsync(interruption, interruption, ($"X-Demo-Fail-{call}", fault));
            Assert.Equal((503, "1"), (answer.Status, answer.Header("Retry-After")));
        }

        // An interrupted call was executed by two of the five faults: after and half.
        Assert.Equal(new(10, 12, 7, 2, 0, 15), await Demo.CountAccountsAsync());
    }

    Task<Answer> PostAsync(string reference, string key, params (string Name, string Value)[] headers) => PostAsync(reference, key, Demo, headers);

    static Task<Answer> PostAsync(string reference, string key, DemoHost demo, params (string Name, string Value)[] headers) =>
        demo.PostAsync("/accounts", new { reference, owner = "Ann", deposit = 100 }, key, headers);

    Task<Answer> PostUntilFinishedAsync(string reference, string key) => PostUntilFinishedAsync(reference, key, Demo);

    /// <summary>Another walker of the same key, or a serialization failure, is told by 409: to be tried again.</summary>
    static async Task<Answer> PostUntilFinishedAsync(string reference, string key, DemoHost demo)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PostAsync(reference, key, demo)).Status is not (409 or 503), "the account is open");
        return answer!;
    }
}
