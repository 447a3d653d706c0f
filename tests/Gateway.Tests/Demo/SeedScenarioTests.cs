using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

public sealed class SeedScenarioSqliteTests() : SeedScenarioTests(DatabaseKind.Sqlite);

[OnPostgres(ownServer: false)]
public sealed class SeedScenarioPostgresTests() : SeedScenarioTests(DatabaseKind.Postgres);

/// <summary>
/// The four scenarios of seed 002 in both forms: a client whose first call fails calls once more. The form that knows keys opens one account,
/// the unmodified one opens two of whatever the first call came to.
/// </summary>
public abstract class SeedScenarioTests(DatabaseKind kind) : DemoBackendTest(kind, "--completer-interval", "0")
{
    [StoreFact]
    public async Task Scenario_1_all_well()
    {
        Assert.Equal(201, await PostAsync("/accounts"));
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());

        await Demo.EmptyAsync();
        Assert.Equal(201, await PostAsync("/legacy/accounts"));
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());
        Assert.Equal(201, await PostAsync("/legacy/accounts"));
        Assert.Equal(new(2, 2, 2, 2, 1, 0), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task Scenario_2_the_network_fails_between_client_and_api()
    {
        await Assert.ThrowsAsync<HttpRequestException>(() => PostAsync("/accounts", "X-Demo-Fail"));
        Assert.Equal(201, await PostAsync("/accounts"));
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());

        await Demo.EmptyAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => PostAsync("/legacy/accounts", "X-Demo-Fail"));
        Assert.Equal(201, await PostAsync("/legacy/accounts"));
        Assert.Equal(new(2, 2, 2, 2, 1, 0), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task Scenario_3_the_network_fails_between_api_and_core_banking()
    {
        Assert.Equal(503, await PostAsync("/accounts", "X-Demo-Fail-Core-Banking"));
        await AssertFinishedAsync();

        await Demo.EmptyAsync();
        Assert.Equal(502, await PostAsync("/legacy/accounts", "X-Demo-Fail-Core-Banking"));
        Assert.Equal(201, await PostAsync("/legacy/accounts"));
        Assert.Equal(new(2, 2, 1, 1, 1, 1), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task Scenario_4_the_network_fails_between_api_and_registry()
    {
        Assert.Equal(503, await PostAsync("/accounts", "X-Demo-Fail-Registry"));
        await AssertFinishedAsync();

        await Demo.EmptyAsync();
        Assert.Equal(502, await PostAsync("/legacy/accounts", "X-Demo-Fail-Registry"));
        Assert.Equal(201, await PostAsync("/legacy/accounts"));
        Assert.Equal(new(2, 2, 2, 2, 1, 1), await Demo.CountAccountsAsync());
    }

    [StoreFact]
    public async Task The_legacy_form_tells_whether_an_account_is_open_being_opened_or_unknown()
    {
        var unknown = await Demo.GetAsync("/legacy/accounts?reference=A-1");
        await PostAsync("/legacy/accounts", "X-Demo-Fail-Registry");
        var opening = await Demo.GetAsync("/legacy/accounts?reference=A-1");
        var opened = await Demo.PostAsync("/legacy/accounts", new { reference = "A-1", owner = "Ann", deposit = 100 });
        var open = await Demo.GetAsync("/legacy/accounts?reference=A-1");

        Assert.Equal((404, 202, 200), (unknown.Status, opening.Status, open.Status));
        Assert.Equal("""{"id":1,"reference":"A-1","owner":"Ann","deposit":100,"status":"opening"}""", opening.Text);
        Assert.Equal("""{"id":2,"reference":"A-1","owner":"Ann","deposit":100,"status":"open"}""", open.Text);
        Assert.Equal("/legacy/accounts/2", opened.Header("Location"));
        Assert.Equal(open.Text, (await Demo.GetAsync("/legacy/accounts/2")).Text);
    }

    /// <summary>The seed's draining job does it, even if the client never comes back; if it does, it gets its answer.</summary>
    async Task AssertFinishedAsync()
    {
        await RestartAsync("--completer-interval", "20", "--completer-after", "0");
        await Eventually.TrueAsync(async () => (await Demo.CountAccountsAsync()).Unfinished == 0, "the account is open");
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());
        Assert.Equal(201, await PostAsync("/accounts"));
        Assert.Equal(AccountCounts.Each(1), await Demo.CountAccountsAsync());
    }

    /// <param name="lostAnswer">The header that has an answer lost after the work was done; null for none.</param>
    async Task<int> PostAsync(string path, string? lostAnswer = null) => (await Demo.PostAsync(
        path, new { reference = "A-1", owner = "Ann", deposit = 100 }, "key", lostAnswer is null ? [] : [(lostAnswer, "after")])).Status;
}
