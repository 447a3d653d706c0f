using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

public sealed class LegacySystemSqliteTests() : LegacySystemTests(DatabaseKind.Sqlite);

[OnPostgres(ownServer: false)]
public sealed class LegacySystemPostgresTests() : LegacySystemTests(DatabaseKind.Postgres);

/// <summary>
/// The systems of seeds 000 and 001 must stay as careless as the legacy systems they stand for: a backend that is accidentally idempotent
/// would let a broken gateway pass every end-to-end test.
/// </summary>
/// <remarks>
/// The round trip is far longer than 20 parallel requests need to arrive, so that they are all between look-up and insert at the same time.
/// </remarks>
public abstract class LegacySystemTests(DatabaseKind kind) : DemoBackendTest(kind, "--round-trip", "300")
{
    const string Nothing = """
        {"cart":{"items":0},"seats":{"bookings":0,"doubleBooked":0},"urls":{"entries":0,"duplicates":0},
        "users":{"users":0,"duplicates":0,"events":0,"emails":0},
        "accounts":{"accounts":0,"coreAccounts":0,"deposits":0,"registryEntries":0,"duplicates":0,"unfinished":0}}
        """;

    [StoreFact]
    public async Task Every_cart_call_makes_a_row_even_when_identical()
    {
        var first = await Demo.PostAsync("/cart/items", new { sku = "book", quantity = 2 });
        var second = await Demo.PostAsync("/cart/items", new { sku = "book", quantity = 2 });

        Assert.Equal(2, await Demo.CountAsync("cart", "items"));
        Assert.Equal((201, 201), (first.Status, second.Status));
        Assert.Equal("/cart/items/1", first.Header("Location"));
        Assert.Equal("""{"id":2,"sku":"book","quantity":2}""", second.Text);
    }

    [StoreFact]
    public async Task A_cart_call_without_a_body_adds_the_default_item()
    {
        var answer = await Demo.PostAsync("/cart/items", "");

        Assert.Equal(1, await Demo.CountAsync("cart", "items"));
        Assert.Equal(201, answer.Status);
        Assert.Contains("default-item", (await Demo.GetAsync("/cart/items/1")).Text, StringComparison.Ordinal);
    }

    [StoreFact]
    public async Task Two_hundred_parallel_cart_calls_all_succeed()
    {
        var statuses = await DemoHost.InParallelAsync(200, _ => Demo.PostAsync("/cart/items", new { sku = "book" }));

        Assert.Equal(200, await Demo.CountAsync("cart", "items"));
        Assert.All(statuses, status => Assert.Equal(201, status));
    }

    [StoreFact]
    public async Task Parallel_calls_shorten_one_url_more_than_once()
    {
        await WarmUpAsync();
        await DemoHost.InParallelAsync(20, _ => Demo.PostAsync("/urls", new { longUrl = "https://example.org/path" }));

        Assert.InRange(await Demo.CountAsync("urls", "entries"), 2, 20);
        Assert.Equal(await Demo.CountAsync("urls", "entries") - 1, await Demo.CountAsync("urls", "duplicates"));
    }

    [StoreFact]
    public async Task Calls_one_after_the_other_shorten_one_url_once()
    {
        var first = await Demo.PostAsync("/urls", new { longUrl = "https://example.org/path" });
        var second = await Demo.PostAsync("/urls", new { longUrl = "https://example.org/path" });

        Assert.Equal(1, await Demo.CountAsync("urls", "entries"));
        Assert.Equal((201, 200), (first.Status, second.Status));
        Assert.Equal(first.Text, second.Text);
    }

    [StoreFact]
    public async Task A_short_code_redirects_and_an_unknown_one_is_not_found()
    {
        var created = await Demo.PostAsync("/urls", new { longUrl = "https://example.org/path?a=b" });

        var followed = await Demo.GetAsync(created.Header("Location")!);
        var unknown = await Demo.GetAsync("/no-such-code");

        Assert.Equal((302, "https://example.org/path?a=b"), (followed.Status, followed.Header("Location")));
        Assert.Equal(404, unknown.Status);
    }

    [StoreFact]
    public async Task Parallel_users_book_one_seat_twice_or_more()
    {
        await WarmUpAsync();
        await DemoHost.InParallelAsync(20, i => Demo.PostAsync("/seats/A1/bookings", new { user = $"user-{i}" }));

        Assert.InRange(await Demo.CountAsync("seats", "bookings"), 2, 20);
        Assert.Equal(1, await Demo.CountAsync("seats", "doubleBooked"));
    }

    [StoreFact]
    public async Task A_seat_whose_booking_is_seen_is_refused()
    {
        var first = await Demo.PostAsync("/seats/A1/bookings", new { user = "ann" });
        var second = await Demo.PostAsync("/seats/A1/bookings", new { user = "bob" });

        Assert.Equal((1, 0), (await Demo.CountAsync("seats", "bookings"), await Demo.CountAsync("seats", "doubleBooked")));
        Assert.Equal((201, 409), (first.Status, second.Status));
        Assert.Equal("Seat A1 is booked by ann.", second.Problem?.GetProperty("detail").GetString());
        Assert.Equal("""[{"id":1,"seat":"A1","user":"ann"}]""", (await Demo.GetAsync("/seats/A1/bookings")).Text);
    }

    [StoreFact]
    public async Task Stats_survive_a_restart_and_can_be_emptied()
    {
        await Demo.PostAsync("/cart/items", new { sku = "book" });
        await Demo.PostAsync("/seats/A1/bookings", new { user = "ann" });
        await Demo.PostAsync("/urls", new { longUrl = "https://example.org" });
        await Demo.PostAsync("/api/users", new { email = "ann@example.org", name = "Ann" });
        await Demo.PostAsync("/accounts", new { reference = "A-1", owner = "Ann", deposit = 100 }, "key");
        await Eventually.TrueAsync(async () => await Demo.CountAsync("users", "emails") == 1, "the welcome e-mail is sent");

        await RestartAsync();
        Assert.Equal(
            """
            {"cart":{"items":1},"seats":{"bookings":1,"doubleBooked":0},"urls":{"entries":1,"duplicates":0},
            "users":{"users":1,"duplicates":0,"events":1,"emails":1},
            "accounts":{"accounts":1,"coreAccounts":1,"deposits":1,"registryEntries":1,"duplicates":0,"unfinished":0}}
            """.ReplaceLineEndings(""),
            (await Demo.GetAsync("/stats")).Text);

        Assert.Equal(204, (await Demo.EmptyAsync()).Status);
        Assert.Equal(Nothing.ReplaceLineEndings(""), (await Demo.GetAsync("/stats")).Text);
    }

    [StoreFact]
    public async Task Several_backends_start_at_once_on_one_empty_database()
    {
        await using var database = await DemoDatabase.CreateAsync(Kind);
        var hosts = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => Task.Run(() => DemoHost.StartAsync(database))));
        foreach (var host in hosts)
        {
            Assert.Equal(201, (await host.PostAsync("/cart/items", new { sku = "book" })).Status);
            await host.DisposeAsync();
        }
    }

    /// <summary>Connections and code are there, so that the round trip is the longest part of a request.</summary>
    async Task WarmUpAsync() => await DemoHost.InParallelAsync(20, i => i == 0 ? Demo.PostAsync("/urls", "{}") : Demo.GetAsync("/seats/Z9/bookings"));
}
