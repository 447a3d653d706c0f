using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Makes the calls. Every call has the store's timeout as a whole, the wait for a connection included; one whose connection broke is made
/// again on another while time remains, which its token makes harmless.
/// </summary>
internal sealed class PostgresConnections : IAsyncDisposable
{
    /// <summary>On how many connections a call is tried.</summary>
    private const int MaxTries = 3;

    private readonly StoreSettings _settings;
    private readonly PostgresPools _pools;
    private readonly PostgresSchema _schema;
    private readonly PostgresServerCheck _check;
    private readonly TimeProvider _time;
    private readonly StoreCalls _calls;
    private readonly StoreOutage _outage;

    /// <param name="settings">Where the servers are.</param>
    /// <param name="putBack">Writes back what a server may have lost; returns how much that was.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    public PostgresConnections(StoreSettings settings, Func<Task<int>> putBack, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _time = time;
        _calls = new StoreCalls("PostgreSQL", time);
        _pools = new PostgresPools(settings, LookAsync, time);
        _outage = new StoreOutage(logger, _pools.Description);
        _schema = new PostgresSchema(_pools.Description, LookAsync, logger);

        // A look every second, and one that waits for every host that is silent.
        var quarantine = 2 * (PostgresListener.LookInterval + (_pools.HostCount * settings.Timeout));
        _check = new PostgresServerCheck(_pools.Description, quarantine, ServerChanged, putBack, time, logger);
    }

    public string Description => _pools.Description;

    /// <inheritdoc cref="PostgresServerCheck.Table"/>
    public long Table => _check.Table;

    /// <summary>The secret of record ids, after the first call.</summary>
    public byte[]? Secret => _schema.Secret;

    /// <inheritdoc cref="PostgresPools.OpenOwnAsync"/>
    public Task<NpgsqlConnection> OpenOwnAsync(CancellationToken cancellationToken) => _pools.OpenOwnAsync(cancellationToken);

    /// <inheritdoc cref="PostgresServerCheck.LookAsync"/>
    public Task LookAsync(NpgsqlConnection connection) => _check.LookAsync(connection);

    /// <summary>Makes one call.</summary>
    /// <param name="kind">What it is for.</param>
    /// <param name="call">
    /// What to do; repeated on another connection when the first broke, so it must be harmless twice. Its token says that nobody waits any
    /// more; it is not for the commands, because Npgsql blocks a thread to cancel one on a server that hangs.
    /// </param>
    /// <param name="asked">When the caller began, as a timestamp.</param>
    /// <param name="cancellationToken">Ends the caller's waiting, not the call.</param>
    /// <exception cref="StoreUnavailableException">No answer in time.</exception>
    public async Task<T> RunAsync<T>(
        PostgresCallKind kind, Func<NpgsqlConnection, CancellationToken, Task<T>> call, long asked, CancellationToken cancellationToken)
    {
        if (kind == PostgresCallKind.Claim)
        {
            RequireVerified();
        }

        var sending = new Sending { Kind = kind };
        var wasBegun = false;
        var left = _settings.Timeout - _time.GetElapsedTime(asked);
        try
        {
            var result = await _calls.RunAsync(
                () =>
                {
                    wasBegun = true;
                    return TryAsync(call, sending, left);
                },
                left,
                cancellationToken);
            if (kind != PostgresCallKind.Background)
            {
                _outage.Up();
            }

            return result;
        }
        catch (Exception e) when (wasBegun && (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested))
        {
            throw Explain(e, sending);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _check.DisposeAsync();
        await _pools.DisposeAsync();
        _schema.Dispose();
    }

    private async Task<T> TryAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> call, Sending sending, TimeSpan left)
    {
        using var bound = new CancellationTokenSource(left > TimeSpan.Zero ? left : TimeSpan.Zero, _time);
        for (var tries = 1; ; tries++)
        {
            var (connection, pool) = await _pools.OpenAsync(asked => sending.Pool = asked, bound.Token);
            pool.Begin();
            try
            {
                await using (connection)
                {
                    var result = await CallAsync(connection, call, sending, bound.Token);
                    pool.Answered(_time.GetTimestamp());
                    return result;
                }
            }
            catch (Exception e) when (PostgresErrors.IsConnectionLost(e))
            {
                // The others of the pool are likely dead too.
                pool.Source.Clear();
                sending.IsInDoubt |= sending.HasBegun;
                if (tries == MaxTries || bound.IsCancellationRequested)
                {
                    throw;
                }
            }
            finally
            {
                pool.End();
                pool.Leave();
            }
        }
    }

    private async Task<T> CallAsync<T>(
        NpgsqlConnection connection, Func<NpgsqlConnection, CancellationToken, Task<T>> call, Sending sending, CancellationToken bound)
    {
        string? warning = null;
        connection.Notice += (_, notice) => warning = notice.Notice.Routine == "SyncRepWaitForLSN" ? notice.Notice.MessageText : warning;
        await _schema.EnsureAsync(connection, bound);
        if (sending.Kind == PostgresCallKind.Claim)
        {
            // Again: this connection may be a new one, and its server another one.
            RequireVerified();
        }

        sending.Begin();
        var result = await call(connection, bound);

        // A server that is interrupted while it waits for its synchronous standby has committed all the same, and warns.
        return warning is null ? result : throw new StoreUnavailableException($"PostgreSQL warned: {warning}") { MayHaveTakenEffect = true };
    }

    private StoreUnavailableException Explain(Exception e, Sending sending)
    {
        if (PostgresErrors.IsTableMissing(e))
        {
            _schema.Doubt();
        }

        var isLate = e is TimeoutException or OperationCanceledException;
        var wasSent = !isLate || !sending.TryGiveUp();
        if (sending.Pool is { } pool)
        {
            if (isLate)
            {
                _pools.Late(pool);
            }
            else if (PostgresErrors.IsReadOnly(e))
            {
                pool.Source.Clear();
                _pools.Leave(pool);
            }
        }

        var reason = e switch
        {
            StoreUnavailableException => e.Message,
            _ when isLate => $"PostgreSQL gave no answer within {_settings.Timeout.TotalSeconds:0.###} s",
            _ => $"PostgreSQL failed: {PostgresErrors.Describe(e)}",
        };
        if (sending.Kind != PostgresCallKind.Background && _check.IsVerified)
        {
            // A call in the background says nothing about requests, and of a quarantine the log knows already.
            _outage.Down(reason);
        }

        return new StoreUnavailableException(reason, e)
        {
            MayHaveTakenEffect = sending.IsInDoubt || e switch
            {
                StoreUnavailableException known => known.MayHaveTakenEffect,
                _ when isLate => wasSent,
                _ => sending.HasBegun && !PostgresErrors.IsRefusal(e),
            },
        };
    }

    /// <exception cref="StoreUnavailableException">The server may have lost writes that are not put back yet.</exception>
    private void RequireVerified()
    {
        if (!_check.IsVerified)
        {
            throw new StoreUnavailableException(
                $"{Description} is another one than before, or new: no claims while every gateway puts back what it may lack");
        }
    }

    private void ServerChanged()
    {
        _pools.Clear();
        _schema.Doubt();
    }

    /// <summary>How far a call came. Whether it was given up before it was sent is decided once.</summary>
    private sealed class Sending
    {
        private const int Begun = 1;
        private const int GivenUp = 2;

        private int _state;
        private volatile bool _isInDoubt;
        private volatile PostgresPool? _pool;

        public required PostgresCallKind Kind { get; init; }

        /// <summary>A try was sent, and its connection broke.</summary>
        public bool IsInDoubt
        {
            get => _isInDoubt;
            set => _isInDoubt = value;
        }

        public bool HasBegun => Volatile.Read(ref _state) == Begun;

        /// <summary>Where it was, or is to be, sent last.</summary>
        public PostgresPool? Pool
        {
            get => _pool;
            set => _pool = value;
        }

        /// <exception cref="OperationCanceledException">The caller has been told that it will never be sent.</exception>
        public void Begin()
        {
            if (Interlocked.CompareExchange(ref _state, Begun, 0) == GivenUp)
            {
                throw new OperationCanceledException("The call was given up.");
            }
        }

        /// <returns>False when it was sent already.</returns>
        public bool TryGiveUp() => Interlocked.CompareExchange(ref _state, GivenUp, 0) == 0;
    }
}
