using System.Globalization;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Support;

/// <summary>
/// A database of its own, empty at first: on the one server that all tests share, from where <see cref="PostgresInstallation.Shared"/> says,
/// or on a server of the test's own. As a fixture it stays asleep where <see cref="PostgresFactAttribute"/> skips its tests.
/// </summary>
public sealed class PostgresServer : IAsyncLifetime, IAsyncDisposable
{
    /// <summary>Settings of an own server that can count: its log tells every statement, and in which transaction of whom.</summary>
    private static readonly string[] Counting = ["log_statement=all", "log_error_verbosity=terse", "log_line_prefix=%a %v "];

    private static readonly Lazy<Task<string>> Shared = new(StartSharedAsync);

    private readonly PostgresProcess? _own;
    private string? _database;
    private string? _connectionString;

    public PostgresServer()
    {
    }

    private PostgresServer(PostgresProcess own)
    {
        _own = own;
        _connectionString = own.ConnectionString;
    }

    /// <summary>As superuser, or whoever POSTGRES_URL names.</summary>
    public string ConnectionString => _connectionString!;

    /// <summary><c>host:port</c>.</summary>
    public string Endpoint
    {
        get
        {
            var server = new NpgsqlConnectionStringBuilder(ConnectionString);
            return string.Create(CultureInfo.InvariantCulture, $"{server.Host}:{server.Port}");
        }
    }

    /// <summary>The log of an own server.</summary>
    public Ledger<string> Output => Own.Output;

    private PostgresProcess Own =>
        _own ?? throw new InvalidOperationException("A shared server is not ours to stop; use PostgresServer.StartOwnAsync.");

    /// <summary>
    /// A server of the test's own, whatever POSTGRES_URL says, for tests that take the store away. Mark them
    /// <c>[PostgresFact(ownServer: true)]</c>.
    /// </summary>
    /// <param name="settings">As in postgresql.conf, such as <c>"max_connections=5"</c>.</param>
    public static Task<PostgresServer> StartOwnAsync(params string[] settings)
    {
        var server = new PostgresServer(new PostgresProcess(settings));
        return Starting.OrDisposedAsync(server, server.StartAsync);
    }

    /// <summary>As <see cref="StartOwnAsync"/>, for <see cref="CountTransactionsAsync"/>.</summary>
    public static Task<PostgresServer> StartCountingAsync() => StartOwnAsync(Counting);

    /// <summary>One more database, for a test that must find it empty or spoils it.</summary>
    public static async Task<PostgresServer> NewDatabaseAsync()
    {
        var server = new PostgresServer();
        await server.CreateDatabaseAsync();
        return server;
    }

    public Task StartAsync() => Own.StartAsync();

    /// <summary>SIGKILL; <see cref="StartAsync"/> brings the server back on the same port, with what was committed.</summary>
    public Task StopAsync() => Own.StopAsync();

    /// <summary>The store hangs: connects and writes succeed, and nothing is answered until <see cref="ResumeAsync"/>.</summary>
    public Task PauseAsync() => Own.PauseAsync();

    /// <summary>What was sent during the pause is executed now.</summary>
    public Task ResumeAsync() => Own.ResumeAsync();

    /// <summary>The same database, by way of a <see cref="TcpProxy"/>.</summary>
    /// <param name="endpoint"><c>host:port</c>.</param>
    public string ConnectionStringVia(string endpoint) => PostgresQuery.Via(ConnectionString, endpoint);

    /// <summary>As <see cref="PostgresQuery.RunAsync"/>.</summary>
    public Task<object?> QueryAsync(string sql) => PostgresQuery.RunAsync(ConnectionString, sql);

    /// <summary>
    /// How many transactions of gateways the server has executed, apart from those that open a connection or look at the server: one for each call, or two or
    /// three when the call finds something else than usual.
    /// </summary>
    public async Task<int> CountTransactionsAsync()
    {
        // What was answered before is in the log before this.
        var mark = Guid.NewGuid().ToString("N");
        await QueryAsync($"SELECT '{mark}'");
        await Output.WaitForAsync(line => line.Contains(mark, StringComparison.Ordinal));
        return Output.Select(line => line.Split(' ', 3))
            .Where(parts => parts is ["idempotency-gateway", _, var logged] && !logged.Contains("set_config", StringComparison.Ordinal) && !logged.Contains("system_identifier", StringComparison.Ordinal))
            .Select(parts => parts[1]).Distinct().Count();
    }

    /// <summary>Ends connections to this database, as an operator or a crash of their server process does; returns how many there were.</summary>
    /// <param name="where">Which ones, by the columns of pg_stat_activity.</param>
    public async Task<int> TerminateConnectionsAsync(string where = "true") => (int)(long)(await QueryAsync(
        $"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND {where}"))!;

    public async ValueTask DisposeAsync()
    {
        if (_database is not null)
        {
            await PostgresQuery.RunAsync(await Shared.Value, $"DROP DATABASE {_database} WITH (FORCE)");
        }

        await (_own?.DisposeAsync() ?? default);
    }

    Task IAsyncLifetime.InitializeAsync() => PostgresInstallation.IsUsable(ownServer: false) ? CreateDatabaseAsync() : Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    private static async Task<string> StartSharedAsync()
    {
        switch (PostgresInstallation.Shared)
        {
            case SharedServerSource.Named:
                return PostgresInstallation.ExternalServer!;
            case SharedServerSource.Container:
                return (await ServerContainers.StartPostgresAsync()).GetConnectionString();
            default:
                var shared = new PostgresProcess();
                await shared.StartAsync();
                ChildProcesses.AtTheEnd($"kill -QUIT {shared.Pid} 2>/dev/null");
                return shared.ConnectionString;
        }
    }

    private async Task CreateDatabaseAsync()
    {
        var server = await Shared.Value;
        _database = $"gateway_tests_{Guid.NewGuid():N}";
        await PostgresQuery.RunAsync(server, $"CREATE DATABASE {_database}");
        _connectionString = new NpgsqlConnectionStringBuilder(server) { Database = _database }.ConnectionString;
    }
}
