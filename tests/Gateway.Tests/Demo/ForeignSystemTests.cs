using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

public sealed class ForeignSystemSqliteTests() : ForeignSystemTests(DatabaseKind.Sqlite);

[OnPostgres(ownServer: false)]
public sealed class ForeignSystemPostgresTests() : ForeignSystemTests(DatabaseKind.Postgres);

/// <summary>Seed 002's foreign systems know keys; who sends none gets what every careless client gets.</summary>
public abstract class ForeignSystemTests(DatabaseKind kind) : DemoBackendTest(kind)
{
    const int Parallel = 50;

    static readonly (string Path, object Body)[] Calls =
    [
        ("/core-banking/accounts", new { reference = "A-1", owner = "Ann" }),
        ("/core-banking/deposits", new { reference = "A-1", account = 1, amount = 100 }),
        ("/registry/entries", new { reference = "A-1", owner = "Ann" }),
    ];

    [StoreFact]
    public async Task Parallel_calls_with_one_key_make_one_row_and_get_one_answer()
    {
        var answers = await PostAllAsync(_ => "key");

        Assert.Equal(AccountCounts.None with { CoreAccounts = 1, Deposits = 1, RegistryEntries = 1 }, await Demo.CountAccountsAsync());
        Assert.All(answers, answer => Assert.Equal(201, answer.Status));
        var texts = answers.Select(answer => answer.Text).Chunk(Calls.Length).ToList();
        Assert.All(texts, each => Assert.Equal(texts[0], each));
    }

    [StoreFact]
    public async Task Calls_with_keys_of_their_own_or_none_make_a_row_each()
    {
        await PostAllAsync(i => i % 2 == 0 ? null : $"key-{i}");

        Assert.Equal(new(0, Parallel, Parallel, Parallel, 1, 0), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task A_key_is_known_after_a_lost_answer_and_after_a_restart()
    {
        foreach (var (path, body) in Calls)
            await Assert.ThrowsAsync<HttpRequestException>(() => Demo.PostForeignAsync(path, body, "key", ("X-Demo-Fail", "after")));
        await RestartAsync();
        var answers = await PostAllAsync(_ => "key");

        Assert.Equal(AccountCounts.None with { CoreAccounts = 1, Deposits = 1, RegistryEntries = 1 }, await Demo.CountAccountsAsync());
        Assert.All(answers, answer => Assert.Equal((201, """{"id":1}"""), (answer.Status, answer.Text)));
    }

    Task<Answer[]> PostAllAsync(Func<int, string?> key) => Task.WhenAll(
        from i in Enumerable.Range(0, Parallel)
        from call in Calls
        select Demo.PostForeignAsync(call.Path, call.Body, key(i)));
}
