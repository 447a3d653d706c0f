using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keeps one working multiplexer: connects in the background, so that a gateway starts without its store, and watches it with a PING
/// every second. The client believes a black-holed link to be connected for ever, so three missed answers replace the multiplexer.
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private const int MissesBeforeReplacement = 3;
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);

    private readonly ConfigurationOptions _options;
    private readonly string _description;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _watch;
    private volatile ConnectionMultiplexer? _multiplexer;
    private volatile string? _lastError = "not connected yet";

    public RedisConnection(StoreSettings settings, string description, TimeProvider time, ILogger logger)
    {
        _options = CreateOptions(settings);
        _description = description;
        _time = time;
        _logger = logger;
        _watch = Task.Run(WatchAsync);
    }

    /// <summary>The database to send to; says at once when there is no connection, instead of queueing.</summary>
    /// <exception cref="StoreUnavailableException">Not connected.</exception>
    public IDatabase Database => _multiplexer?.GetDatabase() ?? throw new StoreUnavailableException($"{_description}: {_lastError}");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch;
        _multiplexer?.Dispose();
        _stop.Dispose();
    }

    /// <summary>Parses the configuration string and sets what the gateway relies on.</summary>
    /// <exception cref="ArgumentException">The string is not one that the client understands.</exception>
    public static ConfigurationOptions CreateOptions(StoreSettings settings)
    {
        var options = ConfigurationOptions.Parse(settings.Redis.Configuration);
        options.AbortOnConnectFail = false;
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
        using var timer = new PeriodicTimer(WatchInterval, _time);
        var misses = 0;
        try
        {
            do
            {
                var failure = await ProbeAsync();
                _lastError = failure;
                misses = failure is null ? 0 : misses + 1;
                if (misses >= MissesBeforeReplacement)
                {
                    misses = 0;
                    StoreLog.LinkReplaced(_logger, _description, MissesBeforeReplacement);
                    Replace();
                }
            }
            while (await timer.WaitForNextTickAsync(_stop.Token));
        }
        catch (OperationCanceledException)
        {
            // The process is ending.
        }
    }

    /// <summary>Connects if there is no multiplexer, and asks for a sign of life. Returns what is wrong, or null.</summary>
    private async Task<string?> ProbeAsync()
    {
        try
        {
            if (_multiplexer is null)
            {
                // The token is passed to a wait, not to the client: it has no cancellation, and an abandoned attempt ends by itself.
                var multiplexer = await ConnectionMultiplexer.ConnectAsync(_options).WaitAsync(_stop.Token);
#if !REDIS_CLIENT_2
                multiplexer.PreserveAsyncOrder = false;
#endif
                _multiplexer = multiplexer;
            }

            await _multiplexer.GetDatabase().PingAsync(CommandFlags.DemandMaster).WaitAsync(WatchInterval, _time, _stop.Token);
            return null;
        }
        catch (Exception e) when (!_stop.IsCancellationRequested)
        {
            // Whatever the client throws while it connects, the watch goes on.
            return e.Message;
        }
    }

    private void Replace()
    {
        var old = _multiplexer;
        _multiplexer = null;
        if (old is not null)
        {
            // Disposing fails the calls that still wait, which their callers have long given up.
            _ = Task.Run(() => old.Dispose());
        }
    }
}
