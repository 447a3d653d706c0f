using System.Collections.Concurrent;
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
    /// <summary>At a time: more would keep each other from being served, on a machine that is shared.</summary>
    const int Clients = 24;

    static readonly string[] ForeignTables = ["core_accounts", "core_deposits", "registry_entries"];

    /// <summary>For each account; then all is healed, and who is not served yet is served.</summary>
    static readonly TimeSpan MaxTrouble = TimeSpan.FromMilliseconds(400);

    /// <summary>No call of the backend is under way any more.</summary>
    static readonly TimeSpan Settling = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task Each_account_has_one_of_everything_whatever_fails()
    {
        var accounts = Wanted("ACCOUNTS") is { } count ? int.Parse(count, CultureInfo.InvariantCulture) : 30;
        var seed = Wanted("ACCOUNTS_SEED") is { } text
            ? ulong.Parse(text, CultureInfo.InvariantCulture)
            : (uint)RandomNumberGenerator.GetInt32(int.MaxValue);
        var kind = Enum.Parse<DatabaseKind>(Wanted("ACCOUNTS_DATABASE") ?? nameof(DatabaseKind.Sqlite));
        output.WriteLine($"{accounts} accounts of each form, {kind}, ACCOUNTS_SEED={seed}");

        await using var database = await DemoDatabase.CreateAsync(kind);
        await using var system = await AccountSystem.StartAsync(database);
        using var http = KeyedRequests.NewClient();
        var client = new AccountClient(http, system.Url);
        var nemesis = new AccountNemesis(system, seed);
        var clock = Stopwatch.StartNew();

        using var stop = new CancellationTokenSource(MaxTrouble * accounts);
        var answers = new ConcurrentDictionary<string, int>();
        var trouble = nemesis.RunAsync(stop.Token);
        try
        {
            await Parallel.ForEachAsync(
                Enumerable.Range(0, accounts).SelectMany(number => (string[])[$"aware-{number}", $"legacy-{number}"]),
                new ParallelOptions { MaxDegreeOfParallelism = Clients },
                async (reference, _) => answers[reference] = await client.OpenAsync(reference, Dice.For(seed, reference)));
        }
        finally
        {
            await stop.CancelAsync();
            await trouble;
        }
        await Task.Delay(Settling);

        output.WriteLine($"{client.Requests} requests, {clock.Elapsed.TotalSeconds:F1} s");
        output.WriteLine(string.Join(", ", nemesis.Deeds.OrderBy(deed => deed.Key).Select(deed => $"{deed.Value} x {deed.Key}")));

        var uncertain = answers.Where(answer => answer.Value == 409).Select(answer => answer.Key).ToList();
        output.WriteLine($"{uncertain.Count} of the legacy form left uncertain");
        foreach (var table in ForeignTables)
        {
            var rows = await CountAsync(system.Witness, table);
            output.WriteLine($"{uncertain.Count(rows.ContainsKey)} of them in {table}");
            Assert.All(answers, answer => Assert.InRange(rows.GetValueOrDefault(answer.Key), answer.Value == 201 ? 1 : 0, 1));
        }
        Assert.Equal(accounts * 2, answers.Count);
        Assert.True(client.Requests > accounts * 2, "no request failed: the faults are none");
    }

    static string? Wanted(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? text : null;

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
