using System.Globalization;
using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// The connections: a pool for each host of the connection string. The host that took writes last is asked first; one that cannot be
/// reached, or is a standby, is followed by the next. (Npgsql's own choice among hosts spends a call's whole time on one that is silent.)
/// </summary>
internal sealed class PostgresPools : IAsyncDisposable
{
    /// <summary>Connections of one gateway to a host, unless the string says otherwise; a PostgreSQL takes 100 in all by default.</summary>
    private const int DefaultMaxPoolSize = 20;

    /// <summary>
    /// How many times the store's timeout a connection may take to be made, and as much again for what it is asked first. It goes on when the call that
    /// wanted it has given up: a busy server that is asked anew by every call has its queue full of those that gave up, and connects nobody.
    /// </summary>
    private const int ConnectTimeouts = 5;

    /// <summary>How many replaced pools may still have calls that hang: a server that hangs must not run out of connections.</summary>
    private const int MaxHanging = 2;

    private readonly StoreSettings _settings;
    private readonly Func<NpgsqlConnection, Task> _look;
    private readonly TimeProvider _time;
    private readonly NpgsqlConnectionStringBuilder[] _hosts;
    private readonly PostgresPool[] _pools;
    private readonly NpgsqlDataSource[] _unpooled;
    private readonly List<PostgresPool> _replaced = [];
    private readonly Lock _lock = new();
    private int _current;

    /// <param name="settings">Where the servers are.</param>
    /// <param name="look">Called on every connection to a primary before it is used.</param>
    /// <param name="time">Local time.</param>
    public PostgresPools(StoreSettings settings, Func<NpgsqlConnection, Task> look, TimeProvider time)
    {
        _settings = settings;
        _look = look;
        _time = time;
        var all = CreateString(settings);
        Description = $"PostgreSQL ({string.Join(',', all.Host!.Split(',').Select(SafeText.OfHost))}, database {SafeText.OfName(all.Database!)})";
        _hosts = [.. all.Host!.Split(',', StringSplitOptions.TrimEntries).Select(host => OfHost(all, host))];
        _pools = [.. _hosts.Select(host => BuildPool(host))];
        _unpooled = [.. _hosts.Select(host => Build(host, pooling: false, () => { }))];
    }

    public string Description { get; }

    public int HostCount => _hosts.Length;

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
            throw new ArgumentException("Target Session Attributes may be primary or read-write: claims are made on the primary only");
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
            CommandTimeout = 0, // ours comes first; ending a call that hangs would block threads
            TcpKeepAlive = true,
            TcpKeepAliveTime = 10, // seconds, as the next
            TcpKeepAliveInterval = 5,
            NoResetOnClose = true, // no call leaves anything behind in its session
            Enlist = false,
        };
    }

    /// <summary>A connection to the server that takes writes, and the pool that it is of, which is left (<see cref="PostgresPool.Leave"/>) when it is disposed.</summary>
    /// <param name="asked">Told of each pool before it is asked.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="StoreUnavailableException">A server is a standby.</exception>
    public async Task<(NpgsqlConnection Connection, PostgresPool Pool)> OpenAsync(Action<PostgresPool> asked, CancellationToken cancellationToken)
    {
        for (var tried = 1; ;)
        {
            var host = Volatile.Read(ref _current);
            var pool = Volatile.Read(ref _pools[host]);
            asked(pool);
            Task<NpgsqlConnection>? opening = null;
            try
            {
                await pool.EnterAsync(cancellationToken);
                opening = ConnectAsync(pool);
                return (await opening.WaitAsync(cancellationToken), pool);
            }
            catch (Exception e)
            {
                _ = opening is null ? Task.CompletedTask : ReturnLaterAsync(pool, opening);
                if (e is ObjectDisposedException && pool != Volatile.Read(ref _pools[host]))
                {
                    continue; // replaced at this moment
                }

                // A pool that is only busy is not left.
                if (!(cancellationToken.IsCancellationRequested && _time.GetElapsedTime(pool.AnsweredAt) < _settings.Timeout))
                {
                    Leave(pool);
                }

                if (tried++ == _hosts.Length || cancellationToken.IsCancellationRequested)
                {
                    throw;
                }
            }
        }
    }

    /// <summary>The same outside the pools; disposing it closes it. For LISTEN.</summary>
    public async Task<NpgsqlConnection> OpenOwnAsync(CancellationToken cancellationToken)
    {
        var first = Volatile.Read(ref _current);
        for (var tried = 1; ; tried++)
        {
            try
            {
                return await _unpooled[(first + tried - 1) % _hosts.Length].OpenConnectionAsync(cancellationToken);
            }
            catch (Exception) when (tried < _hosts.Length && !cancellationToken.IsCancellationRequested)
            {
                // The next host.
            }
        }
    }

    /// <summary>The next call begins with the next host.</summary>
    public void Leave(PostgresPool pool)
    {
        var host = Array.IndexOf(_pools, pool);
        if (host >= 0)
        {
            Interlocked.CompareExchange(ref _current, (host + 1) % _hosts.Length, host);
        }
    }

    /// <summary>No connection that is open now is used again once its call has ended.</summary>
    public void Clear()
    {
        foreach (var pool in _pools)
        {
            pool.Source.Clear();
        }
    }

    /// <summary>
    /// A call got no answer in time. When none did for that long, later ones get new connections; those that hang end by themselves, some
    /// day, and only so many of them are left hanging.
    /// </summary>
    public void Late(PostgresPool pool)
    {
        lock (_lock)
        {
            var host = Array.IndexOf(_pools, pool);
            _replaced.RemoveAll(old => old.UnderWay == 0);
            if (host >= 0 && pool.UnderWay > 0 && _replaced.Count < MaxHanging && _time.GetElapsedTime(pool.AnsweredAt) > _settings.Timeout)
            {
                _replaced.Add(pool);
                Volatile.Write(ref _pools[host], BuildPool(_hosts[host]));
                _ = pool.Source.DisposeAsync().AsTask();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var source in _pools.Select(pool => pool.Source).Concat(_unpooled))
        {
            await source.DisposeAsync();
        }
    }

    private static NpgsqlConnectionStringBuilder OfHost(NpgsqlConnectionStringBuilder all, string host)
    {
        var own = new NpgsqlConnectionStringBuilder(all.ConnectionString) { Host = host };
        if (host.StartsWith('/'))
        {
            // A Unix socket, which knows no TCP options.
            (own.TcpKeepAlive, own.TcpKeepAliveTime, own.TcpKeepAliveInterval) = (false, 0, 0);
        }

        var colon = host.LastIndexOf(':');
        var hasPort = colon > 0 && (host[0] == '[' ? host[colon - 1] == ']' : host.IndexOf(':', StringComparison.Ordinal) == colon);
        if (hasPort && int.TryParse(host[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            (own.Host, own.Port) = (host[..colon].Trim('[', ']'), port);
        }

        return own;
    }

    private static async Task<NpgsqlConnection> ConnectAsync(PostgresPool pool) => await pool.Source.OpenConnectionAsync(CancellationToken.None);

    /// <summary>Of a call that has given up, for the next one.</summary>
    private static async Task ReturnLaterAsync(PostgresPool pool, Task<NpgsqlConnection> opening)
    {
        try
        {
            await (await opening).DisposeAsync();
        }
#pragma warning disable CA1031 // whatever it is, the next call finds it out by itself
        catch (Exception)
#pragma warning restore CA1031
        {
            // Nobody waits for it.
        }
        finally
        {
            pool.Leave();
        }
    }

    private PostgresPool BuildPool(NpgsqlConnectionStringBuilder host)
    {
        PostgresPool? pool = null;
        var source = Build(host, pooling: true, () => pool!.Answered(_time.GetTimestamp())); // a server that connects does not hang
        return pool = new PostgresPool(source, host.MaxPoolSize, _time.GetTimestamp());
    }

    /// <param name="host">Its connection string.</param>
    /// <param name="pooling">Whether its connections are kept.</param>
    /// <param name="connected">Told of each connection that is made.</param>
    private NpgsqlDataSource Build(NpgsqlConnectionStringBuilder host, bool pooling, Action connected)
    {
        var builder = new NpgsqlDataSourceBuilder(host.ConnectionString);
        builder.ConnectionStringBuilder.Pooling = pooling;

        // The listener's is short: by it a silent server is noticed.
        var seconds = (int)Math.Ceiling((pooling ? ConnectTimeouts : 1) * _settings.Timeout.TotalSeconds);
        builder.ConnectionStringBuilder.Timeout = seconds;
        builder.UsePhysicalConnectionInitializer(_ => throw new NotSupportedException(), async connection =>
        {
            await PrepareAsync(connection, seconds);
            connected();
        });
        return builder.Build();
    }

    /// <summary>Every physical connection, once.</summary>
    private async Task PrepareAsync(NpgsqlConnection connection, int seconds)
    {
        // Our own timeout comes first; the server's ends what we gave up. A claim that is acknowledged must be on disk.
        using var prepare = new NpgsqlCommand(
            """
            SELECT set_config('statement_timeout', $1, false), set_config('default_transaction_isolation', 'read committed', false),
              set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
              pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'
            """,
            connection)
        {
            CommandTimeout = seconds,
            Parameters = { new() { Value = (2 * _settings.Timeout).TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture) } },
        };
        await using (var row = await prepare.ExecuteReaderAsync())
        {
            await row.ReadAsync();
            if (row.GetBoolean(3))
            {
                throw new StoreUnavailableException("this PostgreSQL is a standby; claims are made on the primary only");
            }

            if (_hosts.Length > 1 && row.GetBoolean(4))
            {
                throw new StoreUnavailableException("this PostgreSQL takes no writes (transaction_read_only)");
            }
        }

        await _look(connection);
    }
}
