using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>PostgreSQL is there and answers with an error, or makes everybody wait: a store that is down, and never a key that is absent.</summary>
public sealed class PostgresRefusalTests : StoreFaults
{
    private const string User = "gateway";

    /// <summary>Ways into such a state and out of it, by what the log then says. Sessions that are in stay in, and so are ended.</summary>
    private static readonly Dictionary<string, (string Begin, string End)> Refusals = new()
    {
        ["25006, "] = ("ALTER SYSTEM SET default_transaction_read_only = on", "ALTER SYSTEM RESET default_transaction_read_only"),
        ["42501, "] = ($"REVOKE INSERT, SELECT ON idempotency_records FROM {User}", $"GRANT INSERT, SELECT ON idempotency_records TO {User}"),
        ["53300"] = ($"ALTER ROLE {User} CONNECTION LIMIT 0", $"ALTER ROLE {User} CONNECTION LIMIT -1"),
        ["28000"] = ($"ALTER ROLE {User} NOLOGIN", $"ALTER ROLE {User} LOGIN"),
        ["3D000"] = ("ALTER DATABASE idempotency RENAME TO away", "ALTER DATABASE away RENAME TO idempotency"),
        ["gave no answer"] = ("BEGIN; LOCK TABLE idempotency_records; PREPARE TRANSACTION 'lock'", "COMMIT PREPARED 'lock'"),
    };

    public static TheoryData<string> Codes => [.. Refusals.Keys];

    [PostgresTheory(ownServer: true)]
    [MemberData(nameof(Codes))]
    public async Task AStoreThatRefuses_IsAStoreThatIsDown_UntilItWorksAgain(string code)
    {
        await using var server = await PostgresServer.StartOwnAsync("max_prepared_transactions=1");
        await server.QueryAsync($"CREATE ROLE {User} LOGIN");
        await server.QueryAsync($"CREATE DATABASE idempotency OWNER {User}");
        var database = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Database = "idempotency" };
        await using var gateway = await StartConnectedGatewayAsync(
            GatewayConfig.Postgres(new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = User }.ConnectionString));
        var first = await PostAsync(gateway, Key);
        var newKey = EmbeddedGateway.NewKey();

        await ChangeAsync(Refusals[code].Begin);
        await AssertRefusedInTimeAsync(gateway, newKey);
        await AssertNotRunAgainAsync(first, gateway, Key);
        await gateway.Output.WaitForAsync(line => line.Contains(code, StringComparison.Ordinal));
        await ChangeAsync(Refusals[code].End);

        await AssertRecoversAsync(gateway, newKey);
        await AssertReplayedAsync(first, gateway, Key);

        async Task ChangeAsync(string sql)
        {
            const string EndSessions = $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{User}'";
            // A database is renamed when nobody is in it, and locked by who is.
            await (sql.Contains("DATABASE", StringComparison.Ordinal) ? RenameAsync(sql, EndSessions)
                : PostgresQuery.RunAsync(sql.Contains("SYSTEM", StringComparison.Ordinal) ? server.ConnectionString : database.ConnectionString, sql));
            await server.QueryAsync("SELECT pg_reload_conf()");
            await server.QueryAsync(EndSessions);
        }

        Task RenameAsync(string sql, string endSessions) => Eventually.TrueAsync(
            async () =>
            {
                await server.QueryAsync(endSessions);
                try
                {
                    await server.QueryAsync(sql);
                    return true;
                }
                catch (PostgresException inUse) when (inUse.SqlState == PostgresErrorCodes.ObjectInUse)
                {
                    return false;
                }
            },
            "nobody is in the database");
    }
}
