using System.Globalization;
using Npgsql;

namespace Gateway.Storage.Postgres;

/// <summary>
/// The connections: a pool for each host of the connection string. The host that took writes last is asked first; one that cannot be
/// reached, or is a standby, is followed by the next. (Npgsql's own choice among hosts spends a call's whole time on one that is silent.)
/// </summary>
internal sealed class PostgresPools : IAsyncDisposable
{
    /// <summary>Connections of one gateway to a host, unless the string says otherwise; a PostgreSQL takes 100 in all by default.</summary>
    private const int DefaultMaxPoolSize = 20;

    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly NpgsqlConnectionStringBuilder[] _hosts;
    private readonly NpgsqlDataSource[] _pools;
    private readonly Lock _lock = new();
    private int _current;
    private long _replacedAt;
    private string? _timeline;

    public PostgresPools(StoreSettings settings, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        var all = CreateString(settings);
        Description = $"PostgreSQL ({all.Host}, database {all.Database})";
        _hosts = [.. all.Host!.Split(',', StringSplitOptions.TrimEntries).Select(host => OfHost(all, host))];
        _pools = [.. _hosts.Select(host => Build(host, pooling: true))];
    }

    public string Description { get; }

    /// <summary>The connection string with what the store relies on.</summary>
    /// <exception cref="ArgumentException">The string is none, or contradicts the store.</exception>
    public static NpgsqlConnectionStringBuilder CreateString(StoreSettings settings)
    {
        var given = new NpgsqlConnectionStringBuilder(settings.Postgres.ConnectionString);
        if (string.IsNullOrEmpty(given.Host) || string.IsNullOrEmpty(given.Database))
        {
            throw new ArgumentException("Host and Database are needed");
        }

        if (given.TargetSessionAttributes is { Length: > 0 } session && session is not ("primary" or "read-write"))
        {
            throw new ArgumentException($"Target Session Attributes may be primary or read-write, not {session}: claims are made on the primary only");
        }

        if (given.Multiplexing || !given.Pooling)
        {
            throw new ArgumentException("Multiplexing must be off and Pooling on");
        }

        return new NpgsqlConnectionStringBuilder(settings.Postgres.ConnectionString)
        {
            TargetSessionAttributes = null,
            MaxPoolSize = given.ShouldSerialize("Maximum Pool Size") ? given.MaxPoolSize : DefaultMaxPoolSize,
            MaxAutoPrepare = given.ShouldSerialize("Max Auto Prepare") ? given.MaxAutoPrepare : 20,
            AutoPrepareMinUsages = 2,
            ApplicationName = given.ApplicationName ?? "idempotency-gateway",
            Timeout = (int)Math.Ceiling(settings.Timeout.TotalSeconds), // of connecting
            CommandTimeout = 0, // ours comes first; ending a call that hangs would block threads
            NoResetOnClose = true, // no call leaves anything behind in its session
            Enlist = false,
        };
    }

    /// <summary>A connection to the server that takes writes, and the pool that it is of.</summary>
    /// <exception cref="StoreUnavailableException">A server is a standby.</exception>
    public Task<(NpgsqlConnection Connection, NpgsqlDataSource Pool)> OpenAsync(CancellationToken cancellationToken) =>
        TryHostsAsync(host => _pools[host], cancellationToken);

    /// <summary>The same outside the pools; disposing it closes it. For LISTEN.</summary>
    public async Task<NpgsqlConnection> OpenOwnAsync(CancellationToken cancellationToken) =>
        (await TryHostsAsync(host => Build(_hosts[host], pooling: false), cancellationToken)).Connection;

    /// <summary>Calls on this pool hang: later ones get new connections, and those that hang end by themselves, some day.</summary>
    public void Replace(NpgsqlDataSource pool)
    {
        lock (_lock)
        {
            // Not again while the server may still be busy with what hung before.
            var host = Array.IndexOf(_pools, pool);
            if (host >= 0 && (_replacedAt == 0 || _time.GetElapsedTime(_replacedAt) > 3 * _settings.Timeout))
            {
                _replacedAt = _time.GetTimestamp();
                _pools[host] = Build(_hosts[host], pooling: true);
                _ = pool.DisposeAsync().AsTask();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var pool in _pools)
        {
            await pool.DisposeAsync();
        }
    }

    private static NpgsqlConnectionStringBuilder OfHost(NpgsqlConnectionStringBuilder all, string host)
    {
        var own = new NpgsqlConnectionStringBuilder(all.ConnectionString) { Host = host };
        if (host.Split(':') is [var name, var port] && int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            (own.Host, own.Port) = (name, number);
        }

        return own;
    }

    private NpgsqlDataSource Build(NpgsqlConnectionStringBuilder host, bool pooling)
    {
        var builder = new NpgsqlDataSourceBuilder(host.ConnectionString);
        builder.ConnectionStringBuilder.Pooling = pooling;
        builder.UsePhysicalConnectionInitializer(_ => throw new NotSupportedException(), PrepareAsync);
        return builder.Build();
    }

    private async Task<(NpgsqlConnection Connection, NpgsqlDataSource Pool)> TryHostsAsync(Func<int, NpgsqlDataSource> poolOf, CancellationToken cancellationToken)
    {
        for (var tried = 1; ; tried++)
        {
            var host = Volatile.Read(ref _current);
            var pool = poolOf(host);
            try
            {
                return (await pool.OpenConnectionAsync(cancellationToken), pool);
            }
            catch (Exception)
            {
                // Whatever it was, the next call begins with the next host.
                Interlocked.CompareExchange(ref _current, (host + 1) % _hosts.Length, host);
                if (tried == _hosts.Length || cancellationToken.IsCancellationRequested)
                {
                    throw;
                }
            }
        }
    }

    /// <summary>Every physical connection, once.</summary>
    private async Task PrepareAsync(NpgsqlConnection connection)
    {
        // Our own timeout comes first; the server's ends what we gave up. A claim that is acknowledged must be on disk.
        using var prepare = new NpgsqlCommand(
            """
            SELECT set_config('statement_timeout', $1, false), set_config('default_transaction_isolation', 'read committed', false),
              set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
              pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
            """,
            connection)
        {
            CommandTimeout = (int)Math.Ceiling(_settings.Timeout.TotalSeconds),
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
}
