using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>The tables: who makes them, who may use them, and what they refuse to keep.</summary>
public sealed class PostgresSchemaTests(PostgresServer server) : IClassFixture<PostgresServer>
{
    private static readonly string SchemaFile = RepositoryFiles.Read("src/Idempotency.Storage.Postgres/schema.sql");

    /// <summary>A record that the table takes, as SQL.</summary>
    private static readonly Dictionary<string, string> ValidRecord = new()
    {
        ["id"] = "sha256(gen_random_uuid()::text::bytea)",
        ["state"] = "'settled'",
        ["token"] = "gen_random_uuid()",
        ["fingerprint"] = @"'\x01' || sha256('x')",
        ["lease_until"] = "now() + interval '30 seconds'",
        ["expires_at"] = "now() + interval '1 day'",
        ["answer"] = @"'\x01'",
        ["attempt"] = "1",
        ["probe"] = "NULL",
    };

    [PostgresFact]
    public async Task ManyInstances_OnAnEmptyDatabase_MakeOneSetOfTables()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        var stores = Enumerable.Range(0, 8).Select(_ => PostgresStores.Open(database.ConnectionString)).ToList();

        var secrets = await Task.WhenAll(stores.Select(store => store.GetSecretAsync(default).AsTask()));
        var claim = StoreContractTests.NewClaim();
        var results = await Task.WhenAll(stores.Select(store => store.ClaimAsync(StoreContractTests.Duplicate(claim), default).AsTask()));

        Assert.All(secrets, secret => Assert.Equal(secrets[0], secret));
        Assert.Single(results, result => result.State == ClaimState.Claimed);
        foreach (var store in stores)
        {
            await store.DisposeAsync();
        }
    }

    [PostgresFact]
    public async Task TablesOfANewerGateway_AreLeftAlone()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await database.QueryAsync(SchemaFile);
        await database.QueryAsync("UPDATE idempotency_schema SET version = 99");
        await using var store = PostgresStores.Open(database.ConnectionString);

        var e = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(StoreContractTests.NewClaim(), default));

        Assert.Contains("version 99", e.Message, StringComparison.Ordinal);
        Assert.Equal(0L, await database.QueryAsync("SELECT count(*) FROM idempotency_records"));
    }

    [PostgresFact]
    public async Task ATableThatLacksAColumn_IsRefused_ByName()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await database.QueryAsync(SchemaFile);
        await database.QueryAsync("ALTER TABLE idempotency_records DROP COLUMN watched");
        await using var store = PostgresStores.Open(database.ConnectionString);

        var e = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(StoreContractTests.NewClaim(), default));

        Assert.Contains("watched", e.Message, StringComparison.Ordinal);
    }

    [PostgresFact]
    public async Task AUserWithoutTheRight_IsToldWhichFileMakesTheTables_AndWorksWithThem()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        var user = $"user_{Guid.NewGuid():N}";
        await database.QueryAsync($"REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {user} LOGIN PASSWORD 'x'");
        try
        {
            await using var store = PostgresStores.Open(
                new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = user, Password = "x" }.ConnectionString);
            var claim = StoreContractTests.NewClaim();

            var e = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(claim, default));
            Assert.Contains("schema.sql", e.Message, StringComparison.Ordinal);

            // As the file's first lines say.
            await database.QueryAsync(SchemaFile);
            await database.QueryAsync(SchemaFile);
            foreach (var grant in SchemaFile.Split('\n').Where(line => line.StartsWith("--   GRANT", StringComparison.Ordinal)))
            {
                await database.QueryAsync(grant.TrimStart('-').Replace("SCHEMA ...", "SCHEMA public", StringComparison.Ordinal).Replace("TO gateway", $"TO {user}", StringComparison.Ordinal));
            }

            Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);
            Assert.Equal(ClaimState.InProgress, (await store.WatchAsync(claim.Id, default))?.State);
            Assert.Equal([WriteResult.Done], await store.RenewAsync([claim], default));
            Assert.Equal(WriteResult.Done, await store.SettleAsync(claim, new byte[] { 1 }, default));
            Assert.True(await store.ForgetAsync(claim.Id, default));
            Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(StoreContractTests.Duplicate(claim), default)).State);
        }
        finally
        {
            await database.QueryAsync($"DROP OWNED BY {user}; DROP ROLE {user}");
        }
    }

    [PostgresFact]
    public async Task TablesThatWereDropped_AreMadeAgain_WithTheSameSecret()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var store = PostgresStores.Open(database.ConnectionString);
        var secret = await store.GetSecretAsync(default);
        var running = StoreContractTests.NewClaim();
        await store.ClaimAsync(running, default);

        await database.QueryAsync("DROP TABLE idempotency_records, idempotency_secret, idempotency_schema");
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(StoreContractTests.NewClaim(), default));

        // The owner's own write, unless the put-back of its writes was faster.
        var renewed = await PostgresStores.OnceServedAsync(() => store.RenewAsync([running], default));
        Assert.True(renewed[0] is WriteResult.Recreated or WriteResult.Done, $"{renewed[0]}");
        await using var another = PostgresStores.Open(database.ConnectionString);
        Assert.Equal(secret, await another.GetSecretAsync(default));
        Assert.Equal(ClaimState.InProgress, (await another.ClaimAsync(StoreContractTests.Duplicate(running), default)).State);
    }

    [PostgresTheory]
    [InlineData("id", @"'\x00'")]
    [InlineData("state", "'done'")]
    [InlineData("state", "'claimed'")] // with an answer
    [InlineData("answer", "NULL")] // settled
    [InlineData("fingerprint", "sha256('x')")]
    [InlineData("expires_at", "now()")] // before the lease
    [InlineData("attempt", "0")]
    [InlineData("probe", @"'\x01'")] // settled
    public async Task ARecordThatMakesNoSense_IsRefusedByTheTable(string column, string value)
    {
        await server.QueryAsync(SchemaFile);
        await server.QueryAsync(Insert(ValidRecord));

        var e = await Assert.ThrowsAsync<PostgresException>(() => server.QueryAsync(Insert(new Dictionary<string, string>(ValidRecord) { [column] = value })));

        Assert.Equal(PostgresErrorCodes.CheckViolation, e.SqlState);
    }

    [PostgresTheory]
    [InlineData("INSERT INTO idempotency_schema (version) VALUES (2)", PostgresErrorCodes.UniqueViolation)]
    [InlineData("INSERT INTO idempotency_secret (value) SELECT sha256(n::text::bytea) FROM generate_series(1, 2) AS n", PostgresErrorCodes.UniqueViolation)]
    [InlineData("INSERT INTO idempotency_secret (value) VALUES ('\\x01')", PostgresErrorCodes.CheckViolation)]
    public async Task ThereIsOneVersion_AndOneSecret(string sql, string code)
    {
        await server.QueryAsync(SchemaFile);

        Assert.Equal(code, (await Assert.ThrowsAsync<PostgresException>(() => server.QueryAsync(sql))).SqlState);
    }

    private static string Insert(Dictionary<string, string> record) =>
        $"INSERT INTO idempotency_records ({string.Join(", ", record.Keys)}) SELECT {string.Join(", ", record.Values)}";
}
