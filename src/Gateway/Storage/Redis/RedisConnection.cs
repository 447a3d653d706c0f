using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keeps one working multiplexer, and knows whether the server behind it is still the one that it was.
/// <list type="bullet">
/// <item>It connects in the background, so that a gateway starts without its store.</item>
/// <item>It asks for a sign of life every second: the client believes a black-holed link to be connected for ever, so two missed
/// answers replace the multiplexer.</item>
/// <item>Any lost connection may mean another server, or the same one without its last writes. No claim is sent until the servers'
/// run ids are seen to be the known ones. New ones raise an alarm and a quarantine, in which every gateway puts its own last
/// writes back before anyone claims again.</item>
/// </list>
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private const int MissesBeforeReplacement = 2;
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);

    /// <summary>Twice the time in which every gateway notices: their watches run every second.</summary>
    private static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(2);

    private readonly StoreSettings _settings;
    private readonly string _description;
    private readonly Func<Task> _putBack;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Task _watch;
    private volatile ConnectionMultiplexer? _multiplexer;
    private volatile string? _obstacle = "not connected yet";
    private int _doubts;
    private bool _isReplaced;
    private HashSet<string> _runIds = [];
    private string? _epoch;

    /// <param name="settings">How to connect.</param>
    /// <param name="description">For the log.</param>
    /// <param name="putBack">Writes the journal back; called when the server lost writes, before claims are sent again.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    public RedisConnection(StoreSettings settings, string description, Func<Task> putBack, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _description = description;
        _putBack = putBack;
        _time = time;
        _logger = logger;
        _watch = Task.Run(WatchAsync);
    }

    /// <summary>For writes of owners: they compare tokens, and put back what was lost.</summary>
    /// <exception cref="StoreUnavailableException">Not connected.</exception>
    public IDatabase Database => _multiplexer?.GetDatabase() ?? throw new StoreUnavailableException($"{_description}: {_obstacle}");

    /// <summary>For claims: only while the server is known to have kept what it acknowledged.</summary>
    /// <exception cref="StoreUnavailableException">Not connected, not checked yet after a lost connection, or in quarantine.</exception>
    public IDatabase VerifiedDatabase => _obstacle is { } obstacle ? throw new StoreUnavailableException($"{_description}: {obstacle}") : Database;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch;
        _multiplexer?.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    /// <summary>Parses the configuration string and sets what the gateway relies on.</summary>
    /// <exception cref="ArgumentException">The string is not one that the client understands.</exception>
    public static ConfigurationOptions CreateOptions(StoreSettings settings)
    {
        var options = ConfigurationOptions.Parse(settings.Redis.Configuration);
        options.AbortOnConnectFail = false;
        options.AllowAdmin = true; // the client counts INFO among the admin commands
        options.ConnectTimeout = (int)Math.Max(1000, settings.Timeout.TotalMilliseconds);
        options.ConnectRetry = 1;
        options.SyncTimeout = (int)settings.Timeout.TotalMilliseconds;
        options.KeepAlive = 10;
        options.ClientName = "idempotency-gateway";
#if REDIS_CLIENT_2
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.AsyncTimeout = (int)settings.Timeout.TotalMilliseconds;
#else
        options.ResponseTimeout = (int)settings.Timeout.TotalMilliseconds;
#endif
        return options;
    }

    private async Task WatchAsync()
    {
        var misses = 0;
        try
        {
            while (true)
            {
                var started = _time.GetTimestamp();
                var failure = await CheckAsync();
                misses = failure is null ? 0 : misses + 1;
                if (failure is not null)
                {
                    _obstacle = failure;
                }

                if (misses >= MissesBeforeReplacement)
                {
                    misses = 0;
                    Replace();
                }

                var rest = WatchInterval - _time.GetElapsedTime(started);
                if (rest > TimeSpan.Zero)
                {
                    await _wake.WaitAsync(rest, _stop.Token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The process is ending.
        }
    }

    /// <summary>One look at the server. Returns what is wrong, or null when claims may be sent.</summary>
    private async Task<string?> CheckAsync()
    {
        try
        {
            var multiplexer = _multiplexer ??= await ConnectAsync();
            var doubts = Volatile.Read(ref _doubts);
            var database = multiplexer.GetDatabase();
            await database.PingAsync(CommandFlags.DemandMaster).WaitAsync(WatchInterval, _time, _stop.Token);
            if (await HasLostWritesAsync(multiplexer, database))
            {
                _obstacle = "the server was replaced or emptied; in quarantine";
                StoreLog.StoreReset(_logger, _description);
                await _putBack();
                await Task.Delay(Quarantine, _time, _stop.Token);
                await _putBack();
            }

            _obstacle = null;
            if (Volatile.Read(ref _doubts) != doubts)
            {
                return "the connection was lost meanwhile";
            }

            _isReplaced = false;
            return null;
        }
        catch (Exception e) when (!_stop.IsCancellationRequested)
        {
            // Whatever the client throws while it connects, the watch goes on.
            return RedisErrors.Describe(e);
        }
    }

    private async Task<ConnectionMultiplexer> ConnectAsync()
    {
        // The token is passed to the wait, not to the client: it has no cancellation, and an abandoned attempt ends by itself.
        var multiplexer = await ConnectionMultiplexer.ConnectAsync(CreateOptions(_settings)).WaitAsync(_stop.Token);
#if !REDIS_CLIENT_2
        multiplexer.PreserveAsyncOrder = false;
#endif
        multiplexer.ConnectionFailed += (_, _) => Doubt();
        multiplexer.ConnectionRestored += (_, _) => Doubt();
        return multiplexer;
    }

    private void Doubt()
    {
        Interlocked.Increment(ref _doubts);
        _obstacle ??= "the connection was lost; the server is being checked";
        if (!_stop.IsCancellationRequested && _wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }

    /// <summary>Whether the masters are others than at the last look, or the data were flushed. The first look sets what is known.</summary>
    private async Task<bool> HasLostWritesAsync(ConnectionMultiplexer multiplexer, IDatabase database)
    {
        var isFirst = _runIds.Count == 0;
        var found = new HashSet<string>();
        foreach (var server in multiplexer.GetEndPoints().Select(endPoint => multiplexer.GetServer(endPoint)).Where(IsMaster))
        {
            var facts = RedisServerFacts.Parse(await ReadInfoAsync(server));
            found.Add(facts.RunId);
            if (!_runIds.Contains(facts.RunId))
            {
                foreach (var finding in RedisPreflight.Judge(facts))
                {
                    StoreLog.Preflight(_logger, $"Redis {server.EndPoint}", finding);
                }
            }
        }

        if (found.Count == 0)
        {
            throw new StoreUnavailableException("no master is connected");
        }

        var isNew = !isFirst && !found.IsSubsetOf(_runIds);
        _runIds = found;
        return await IsEmptiedAsync(database) || isNew;
    }

    /// <summary>Empty where the user may not ask: then a replaced server is only noticed by its missing marker.</summary>
    private async Task<string> ReadInfoAsync(IServer server)
    {
        try
        {
            return await server.InfoRawAsync().WaitAsync(WatchInterval, _time, _stop.Token) ?? "";
        }
        catch (RedisServerException e)
        {
            return $"redis_version:not told ({RedisErrors.Describe(e)})";
        }
    }

    /// <summary>A marker that only goes when everything goes (FLUSHALL keeps the run id); a new one tells the other gateways.</summary>
    private async Task<bool> IsEmptiedAsync(IDatabase database)
    {
        RedisKey key = _settings.Redis.KeyPrefix + "epoch";
        var isSet = await database.StringSetAsync(key, Guid.NewGuid().ToString("n"), expiry: null, When.NotExists, CommandFlags.DemandMaster).WaitAsync(WatchInterval, _time, _stop.Token);
        var epoch = (string?)await database.StringGetAsync(key, CommandFlags.DemandMaster).WaitAsync(WatchInterval, _time, _stop.Token);
        var isEmptied = _epoch is not null && (isSet || epoch != _epoch);
        _epoch = epoch;
        return isEmptied;
    }

    private static bool IsMaster(IServer server) =>
#if REDIS_CLIENT_2
        server.IsConnected && !server.IsReplica;
#else
        server.IsConnected && !server.IsSlave;
#endif

    private void Replace()
    {
        if (Interlocked.Exchange(ref _multiplexer, null) is { } old)
        {
            if (!_isReplaced)
            {
                // Once for an outage; it goes on until the server answers.
                _isReplaced = true;
                StoreLog.LinkReplaced(_logger, _description, MissesBeforeReplacement);
            }

            // Disposing fails the calls that still wait, which their callers have long given up.
            _ = Task.Run(() => old.Dispose());
        }
    }
}
