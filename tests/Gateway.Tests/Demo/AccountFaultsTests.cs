using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using DemoBackend;
using Gateway.Tests.Chaos;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Demo;

/// <summary>
/// Accounts at foreign systems under faults at every link, and <c>kill -9</c> of gateway and backend. Short here; the environment variables
/// ACCOUNTS (of each form, such as 1000), ACCOUNTS_SEED and ACCOUNTS_DATABASE (Sqlite or Postgres) ask for another run.
/// </summary>
[Collection(LoadCollection.Name)]
public sealed class AccountFaultsTests(ITestOutputHelper output)
{
    static readonly string[] ForeignTables = ["core_accounts", "core_deposits", "registry_entries"];

    /// <summary>Between one account of each form and the next.</summary>
    static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200);

    /// <summary>No call of the backend is under way any more.</summary>
    static readonly TimeSpan Settling = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task Each_account_has_one_of_everything_whatever_fails()
    {
        var accounts = int.Parse(Environment.GetEnvironmentVariable("ACCOUNTS") ?? "30", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(
            Environment.GetEnvironmentVariable("ACCOUNTS_SEED") ?? RandomNumberGenerator.GetInt32(int.MaxValue).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        var kind = Enum.Parse<DatabaseKind>(Environment.GetEnvironmentVariable("ACCOUNTS_DATABASE") ?? nameof(DatabaseKind.Sqlite));
        output.WriteLine($"{accounts} accounts of each form, {kind}, ACCOUNTS_SEED={seed}");

        await using var database = await DemoDatabase.CreateAsync(kind);
        await using var system = await AccountSystem.StartAsync(database);
        using var http = KeyedRequests.NewClient();
        var client = new AccountClient(http, system.Url);
        var nemesis = new AccountNemesis(system, seed);
        var clock = Stopwatch.StartNew();

        using var stop = new CancellationTokenSource();
        var trouble = nemesis.RunAsync(stop.Token);
        List<Task<int>> aware = [], legacy = [];
        for (var number = 0; number < accounts; number++)
        {
            aware.Add(client.OpenAsync(AccountSystem.KeyAware, $"aware-{number}", Dice.For(seed, $"aware {number}")));
            legacy.Add(client.OpenAsync(AccountSystem.Legacy, $"legacy-{number}", Dice.For(seed, $"legacy {number}")));
            await Task.Delay(Pace);
        }
        await stop.CancelAsync();
        await trouble;
        var healed = clock.Elapsed;
        await Task.WhenAll(aware);
        var answers = await Task.WhenAll(legacy);
        await Task.Delay(Settling);

        var uncertain = answers.Count(status => status == 409);
        output.WriteLine(
            $"{client.Requests} requests; {uncertain} of the legacy form left uncertain; {healed.TotalSeconds:F1} s of faults, {clock.Elapsed.TotalSeconds:F1} s in all");
        output.WriteLine(string.Join(", ", nemesis.Deeds.OrderBy(deed => deed.Key).Select(deed => $"{deed.Value} x {deed.Key}")));

        foreach (var table in ForeignTables)
        {
            var rows = await CountAsync(system.Witness, table);
            Assert.All(Enumerable.Range(0, accounts), number => Assert.Equal((table, number, 1), (table, number, rows.GetValueOrDefault($"aware-{number}"))));
            Assert.All(answers.Index(), legacy => Assert.InRange(rows.GetValueOrDefault($"legacy-{legacy.Index}"), legacy.Item == 201 ? 1 : 0, 1));
        }
        Assert.True(client.Requests > accounts * 2, "no request failed: the faults are none");
    }

    static async Task<Dictionary<string, int>> CountAsync(DemoHost witness, string table)
    {
        await using var connection = await witness.Part<Database>().OpenAsync();
        await using var select = connection.Command($"SELECT reference, count(*) FROM {table} GROUP BY reference");
        await using var row = await select.ExecuteReaderAsync();
        Dictionary<string, int> counts = [];
        while (await row.ReadAsync())
            counts[row.GetString(0)] = (int)row.GetInt64(1);
        return counts;
    }
}
