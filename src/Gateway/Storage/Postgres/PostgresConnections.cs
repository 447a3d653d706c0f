using System.Globalization;
using Npgsql;

namespace Gateway.Storage.Postgres;

/// <summary>
/// Makes the calls, on pooled connections to the primary. Every call has the store's timeout as a whole, the wait for a connection
/// included; one whose connection broke is made again on another while time remains, which the token makes harmless.
/// </summary>
internal sealed class PostgresConnections : IAsyncDisposable
{
    /// <summary>Calls beyond this many fail at once: a slow server must not fill the memory with waiting requests.</summary>
    private const int MaxOutstanding = 10_000;

    /// <summary>Connections of one gateway, unless the string says otherwise; a PostgreSQL takes 100 in all by default.</summary>
    private const int DefaultMaxPoolSize = 20;

    /// <summary>On how many connections a call is tried.</summary>
    private const int MaxTries = 3;

    private readonly StoreSettings _settings;
    private readonly NpgsqlDataSource _source;
    private readonly PostgresSchema _schema;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private string? _timeline;
    private int _outstanding;
    private volatile bool _failing;

    public PostgresConnections(StoreSettings settings, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        var builder = new NpgsqlDataSourceBuilder(CreateString(settings).ConnectionString);
        Description = $"PostgreSQL ({builder.ConnectionStringBuilder.Host}, database {builder.ConnectionStringBuilder.Database})";
        _schema = new PostgresSchema(Description, logger);
        builder.UsePhysicalConnectionInitializer(_ => throw new NotSupportedException(), PrepareAsync);
        _source = builder.ConnectionStringBuilder.Host!.Contains(',', StringComparison.Ordinal)
            ? builder.BuildMultiHost().WithTargetSession(TargetSessionAttributes.ReadWrite)
            : builder.Build();
    }

    public string Description { get; }

    /// <summary>The secret of record ids, after the first call.</summary>
    public byte[]? Secret => _schema.Secret;

    /// <summary>The connection string with what the store relies on.</summary>
    /// <exception cref="ArgumentException">The string is none, or contradicts the store.</exception>
    public static NpgsqlConnectionStringBuilder CreateString(StoreSettings settings)
    {
        var given = new NpgsqlConnectionStringBuilder(settings.Postgres.ConnectionString);
        if (string.IsNullOrEmpty(given.Host) || string.IsNullOrEmpty(given.Database))
        {
            throw new ArgumentException("Host and Database are needed");
        }

        if (given.ContainsKey("Target Session Attributes") && given.TargetSessionAttributes is { Length: > 0 } session && session is not ("primary" or "read-write"))
        {
            throw new ArgumentException($"Target Session Attributes may be primary or read-write, not {session}: claims are made on the primary only");
        }

        if (given.Multiplexing || !given.Pooling)
        {
            throw new ArgumentException("Multiplexing must be off and Pooling on");
        }

        var seconds = (int)Math.Ceiling(settings.Timeout.TotalSeconds);
        return new NpgsqlConnectionStringBuilder(settings.Postgres.ConnectionString)
        {
            TargetSessionAttributes = null,
            MaxPoolSize = given.ShouldSerialize("Maximum Pool Size") ? given.MaxPoolSize : DefaultMaxPoolSize,
            MaxAutoPrepare = given.ShouldSerialize("Max Auto Prepare") ? given.MaxAutoPrepare : 20,
            AutoPrepareMinUsages = 2,
            ApplicationName = given.ApplicationName ?? "idempotency-gateway",
            Timeout = seconds, // of connecting, and of telling a server to cancel
            CommandTimeout = seconds + 1, // ours comes first
            CancellationTimeout = -1,
            NoResetOnClose = true, // no call leaves anything behind in its session
            HostRecheckSeconds = 1,
            Enlist = false,
        };
    }

    /// <summary>Makes one call.</summary>
    /// <param name="call">What to do; repeated on another connection when the first broke, so it must be harmless twice.</param>
    /// <param name="cancellationToken">Ends the caller's waiting, not the call.</param>
    /// <exception cref="StoreUnavailableException">No answer in time.</exception>
    public async Task<T> RunAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> call, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _outstanding) > MaxOutstanding)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new StoreUnavailableException($"more than {MaxOutstanding} calls to PostgreSQL are under way");
        }

        var attempt = new Attempt();
        try
        {
            // Cancelling does not end a call on a server that hangs, so it is not waited for.
            var result = await CountedAsync(call, attempt).WaitAsync(_settings.Timeout, _time, cancellationToken);
            if (_failing)
            {
                _failing = false;
                StoreLog.Recovered(_logger, Description);
            }

            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw Explain(e, attempt);
        }
    }

    /// <summary>A connection of the pool for a longer time, for LISTEN.</summary>
    public async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken) => await _source.OpenConnectionAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _source.DisposeAsync();
        _schema.Dispose();
    }

    private async Task<T> CountedAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> call, Attempt attempt)
    {
        try
        {
            using var bound = new CancellationTokenSource(_settings.Timeout, _time);
            for (var tries = 1; ; tries++)
            {
                var connection = await _source.OpenConnectionAsync(bound.Token);
                try
                {
                    await using (connection)
                    {
                        return await CallAsync(connection, call, attempt, bound.Token);
                    }
                }
                catch (Exception e) when (tries < MaxTries && PostgresErrors.IsConnectionLost(e) && !bound.IsCancellationRequested)
                {
                    // The others of the pool are likely dead too.
                    _source.Clear();
                }
            }
        }
        finally
        {
            Interlocked.Decrement(ref _outstanding);
        }
    }

    private async Task<T> CallAsync<T>(
        NpgsqlConnection connection, Func<NpgsqlConnection, CancellationToken, Task<T>> call, Attempt attempt, CancellationToken cancellationToken)
    {
        string? warning = null;
        connection.Notice += (_, notice) => warning = notice.Notice.InvariantSeverity == "WARNING" ? notice.Notice.MessageText : warning;
        await _schema.EnsureAsync(connection, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        attempt.WasSent = true;
        var result = await call(connection, cancellationToken);

        // A server that is told to cancel, or is interrupted, while it waits for its synchronous standby commits all the same, and warns.
        cancellationToken.ThrowIfCancellationRequested();
        return warning is null ? result : throw new StoreUnavailableException($"PostgreSQL warned: {warning}") { MayHaveTakenEffect = true };
    }

    /// <summary>Every physical connection, once.</summary>
    private async Task PrepareAsync(NpgsqlConnection connection)
    {
        // Our own timeout comes first; the server's ends what we gave up. A claim that is acknowledged must be on disk.
        using var prepare = new NpgsqlCommand(
            """
            SELECT set_config('statement_timeout', $1, false), set_config('default_transaction_isolation', 'read committed', false),
              CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
              pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
            """,
            connection)
        {
            Parameters = { new() { Value = (2 * _settings.Timeout).TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture) } },
        };
        using var row = await prepare.ExecuteReaderAsync();
        await row.ReadAsync();
        if (row.GetBoolean(3))
        {
            throw new StoreUnavailableException("this PostgreSQL is a standby; claims are made on the primary only");
        }

        var timeline = row.GetString(4);
        if (Interlocked.Exchange(ref _timeline, timeline) is { } before && before != timeline)
        {
            StoreLog.TimelineChanged(_logger, Description, before, timeline);
        }
    }

    private StoreUnavailableException Explain(Exception e, Attempt attempt)
    {
        if (PostgresErrors.IsTableMissing(e))
        {
            _schema.Doubt();
        }

        var explained = e as StoreUnavailableException ?? e.InnerException as StoreUnavailableException ?? new StoreUnavailableException(
            e is TimeoutException or OperationCanceledException
                ? $"PostgreSQL gave no answer within {_settings.Timeout.TotalSeconds:0.###} s" : $"PostgreSQL failed: {PostgresErrors.Describe(e)}",
            e)
        {
            // A call that was given up may be sent at this very moment.
            MayHaveTakenEffect = e is TimeoutException or OperationCanceledException || (attempt.WasSent && !PostgresErrors.IsRefusal(e)),
        };
        if (!_failing)
        {
            _failing = true;
            StoreLog.Failing(_logger, Description, explained.Message);
        }

        return explained;
    }

    private sealed class Attempt
    {
        public volatile bool WasSent;
    }
}
