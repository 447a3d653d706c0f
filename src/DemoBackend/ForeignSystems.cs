using System.Data.Common;

namespace DemoBackend;

/// <summary>
/// Seed 002's two foreign systems, the core banking and the central bank's registry: a second server in this process, spoken to over real
/// HTTP. They know keys: a repeated Idempotency-Key makes no second row and gets the same answer. Without one every call makes a row.
/// Their tables are nobody else's business, save that <see cref="Stats"/> counts the rows.
/// </summary>
internal sealed class ForeignSystems(DemoSettings settings, Database database, TimeProvider time) : IHostedService, IAsyncDisposable
{
    public const string Tables = """
        CREATE TABLE IF NOT EXISTS core_accounts (
            id              IDENTITY PRIMARY KEY,
            reference       TEXT     NOT NULL,
            owner           TEXT     NOT NULL,
            idempotency_key TEXT     NULL UNIQUE
        );
        CREATE TABLE IF NOT EXISTS core_deposits (
            id              IDENTITY PRIMARY KEY,
            reference       TEXT     NOT NULL,
            account         BIGINT   NOT NULL,
            amount          BIGINT   NOT NULL,
            idempotency_key TEXT     NULL UNIQUE
        );
        CREATE TABLE IF NOT EXISTS registry_entries (
            id              IDENTITY PRIMARY KEY,
            reference       TEXT     NOT NULL,
            owner           TEXT     NOT NULL,
            idempotency_key TEXT     NULL UNIQUE
        )
        """;

    WebApplication? _app;

    public sealed record NewAccount(string Reference, string Owner);

    public sealed record NewDeposit(string Reference, long Account, long Amount);

    public sealed record NewEntry(string Reference, string Owner);

    /// <summary>What each of them answers: the number of the row.</summary>
    public sealed record Created(long Id);

    /// <summary>Known once they have started.</summary>
    public Uri Url => new(_app!.Urls.First());

    public Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.UseUrls(settings.ForeignUrls);
        builder.Services.AddSingleton(database).AddSingleton(time);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        _app = builder.Build();
        _app.UseMiddleware<Faults>();
        _app.MapPost("/core-banking/accounts", (HttpContext http, NewAccount account) => CreateAsync(
            http, "core_accounts (reference, owner, idempotency_key) VALUES (@reference, @owner, @key)",
            ("@reference", account.Reference), ("@owner", account.Owner)));
        _app.MapPost("/core-banking/deposits", (HttpContext http, NewDeposit deposit) => CreateAsync(
            http, "core_deposits (reference, account, amount, idempotency_key) VALUES (@reference, @account, @amount, @key)",
            ("@reference", deposit.Reference), ("@account", deposit.Account), ("@amount", deposit.Amount)));
        _app.MapPost("/registry/entries", (HttpContext http, NewEntry entry) => CreateAsync(
            http, "registry_entries (reference, owner, idempotency_key) VALUES (@reference, @owner, @key)",
            ("@reference", entry.Reference), ("@owner", entry.Owner)));
        return _app.StartAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _app?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    public ValueTask DisposeAsync() => _app?.DisposeAsync() ?? default;

    /// <summary>One statement decides, on the key's unique constraint: it makes the row, or waits for whoever is making it and makes none.</summary>
    async Task<IResult> CreateAsync(HttpContext http, string tableAndValues, params (string Name, object Value)[] values)
    {
        var key = http.Request.Headers["Idempotency-Key"].ToString();
        await using var connection = await database.OpenAsync();
        await using var insert = connection.Command(
            $"INSERT INTO {tableAndValues} ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
            [.. values, ("@key", key.Length == 0 ? DBNull.Value : key)]);
        var id = await insert.ExecuteScalarAsync() ?? await FindAsync(connection, tableAndValues.Split(' ')[0], key);
        return Results.Json(new Created((long)id), statusCode: 201);
    }

    static async Task<object> FindAsync(DbConnection connection, string table, string key)
    {
        await using var select = connection.Command($"SELECT id FROM {table} WHERE idempotency_key = @key", ("@key", key));
        return (await select.ExecuteScalarAsync())!;
    }

    /// <summary>They live and end with the process's main server, and listen to no signal themselves.</summary>
    sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
