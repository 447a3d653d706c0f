using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keeps one working multiplexer, and knows whether the server behind it still has what it acknowledged.
/// <list type="bullet">
/// <item>It connects in the background, so that a gateway starts without its store.</item>
/// <item>It asks for a sign of life every second: the client believes a black-holed link to be connected for ever, so two missed
/// answers replace the multiplexer.</item>
/// <item>Any lost connection may mean another server, or the same one without its last writes. No claim is sent until the masters'
/// run ids and a marker are seen to be the known ones. Others mean a quarantine, in which every gateway puts its own last writes back
/// before anyone claims again, and an alarm if any were missing. A reset that was seen is not forgotten until all of that is done.</item>
/// </list>
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private const int MissesBeforeReplacement = 2;
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CheckTimeout = WatchInterval;

    /// <summary>Twice the time in which every gateway notices: their watches run every second.</summary>
    private static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(2);

    private readonly RedisLinks _links;
    private readonly string _description;
    private readonly Func<Task<int>> _putBack;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly RedisServerCheck _check;
    private readonly Task _watch;
    private volatile ConnectionMultiplexer? _multiplexer;
    private volatile string _obstacle = "not connected yet";
    private int _doubts;
    private int _verified = -1;
    private bool _isReplaced;
    private bool _isReset;
    private bool _isDown;
    private string? _refusal;

    /// <param name="settings">How to connect.</param>
    /// <param name="description">For the log.</param>
    /// <param name="scripts">Loaded into every server that is met.</param>
    /// <param name="putBack">Writes the journal back, when the server may have lost it and before claims are sent again; returns what was missing.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    public RedisConnection(
        StoreSettings settings, string description, IReadOnlyList<RedisScript> scripts, Func<Task<int>> putBack, TimeProvider time, ILogger logger)
    {
        _links = new RedisLinks(settings, time, logger);
        _description = description;
        _putBack = putBack;
        _time = time;
        _logger = logger;
        _check = new RedisServerCheck(settings.Redis.KeyPrefix, description, scripts, CheckTimeout, time, logger, _stop.Token);
        _watch = Task.Run(WatchAsync);
    }

    /// <summary>The server's time.</summary>
    public StoreClock Clock => _check.Clock;

    /// <summary>For writes of owners: they compare tokens, and put back what was lost.</summary>
    /// <exception cref="StoreUnavailableException">Not connected.</exception>
    public IDatabase Database => _multiplexer?.GetDatabase() ?? throw new StoreUnavailableException($"{_description}: {_obstacle}");

    /// <summary>For claims: only while the server is known to have kept what it acknowledged.</summary>
    /// <exception cref="StoreUnavailableException">Not connected, not checked yet after a lost connection, or in quarantine.</exception>
    public IDatabase VerifiedDatabase
    {
        get
        {
            RequireVerified();
            return Database;
        }
    }

    /// <summary>The shared secret of record ids.</summary>
    /// <exception cref="StoreUnavailableException">As for <see cref="VerifiedDatabase"/>.</exception>
    public byte[] Secret
    {
        get
        {
            RequireVerified();
            return _check.Secret!;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch;
        _multiplexer?.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    /// <summary>The server may be another one, or have lost writes: no claims until it was looked at again, which happens at once.</summary>
    public void Doubt()
    {
        Interlocked.Increment(ref _doubts);
        if (!_stop.IsCancellationRequested && _wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }

    /// <summary>Replies do not belong to their requests: nothing that comes through this link can be used.</summary>
    /// <param name="multiplexer">The one that lied; a newer one is not to blame.</param>
    public void Distrust(IConnectionMultiplexer multiplexer)
    {
        Doubt();
        Replace(multiplexer as ConnectionMultiplexer);
    }

    private void RequireVerified()
    {
        if (Volatile.Read(ref _verified) != Volatile.Read(ref _doubts))
        {
            throw new StoreUnavailableException($"{_description}: {_obstacle}");
        }
    }

    private async Task WatchAsync()
    {
        var misses = 0;
        try
        {
            while (true)
            {
                var started = _time.GetTimestamp();
                try
                {
                    await CheckAsync();
                    misses = 0;
                    _isReplaced = false;
                    ReportUp();
                }
                catch (Exception e) when (!_stop.IsCancellationRequested)
                {
                    // Whatever the client throws, the watch goes on. A refusal by the server is an answer: the link is good.
                    misses = e is RedisServerException ? 0 : misses + 1;
                    _obstacle = RedisErrors.Describe(e);
                    Volatile.Write(ref _verified, -1);
                    ReportDown(RedisErrors.Refusal(e) ?? (e is StoreUnavailableException ? _obstacle : null));
                    await Task.Delay(RestAfterFailure, _time, _stop.Token); // a server that closes every connection wakes the watch each time
                }

                if (misses >= MissesBeforeReplacement)
                {
                    misses = 0;
                    Replace(_multiplexer);
                }

                var rest = WatchInterval - _time.GetElapsedTime(started);
                if (rest > TimeSpan.Zero)
                {
                    await _wake.WaitAsync(rest, _stop.Token);
                }
            }
        }
#pragma warning disable CA1031 // the process is ending: whatever the client throws now, the rest must still be ended
        catch (Exception) when (_stop.IsCancellationRequested)
#pragma warning restore CA1031
        {
        }
    }

    /// <summary>Once for an outage, and again when the server tells why: the first sign is often only a closed connection.</summary>
    private void ReportDown(string? refusal)
    {
        if (!_isDown || (refusal is not null && refusal != _refusal))
        {
            _isDown = true;
            _refusal = refusal;
            StoreLog.Failing(_logger, _description, _obstacle);
        }
    }

    private void ReportUp()
    {
        if (_isDown)
        {
            _isDown = false;
            _refusal = null;
            StoreLog.Recovered(_logger, _description);
        }
    }

    /// <summary>One look at the server; when it returns, claims may be sent unless a doubt came up meanwhile.</summary>
    private async Task CheckAsync()
    {
        var multiplexer = _multiplexer ??= await ConnectAsync();
        var doubts = Volatile.Read(ref _doubts);
        if (await _links.IsMasterAnotherAsync(multiplexer, isDoubted: doubts != _verified, _stop.Token))
        {
            Doubt();
            Replace(multiplexer, isSilent: false);
            throw new StoreUnavailableException("the Sentinels name another master");
        }

        if (doubts != _verified)
        {
            await _links.RequireOpenAsync(multiplexer, _stop.Token);
        }

        if (await _check.HasLostWritesAsync(multiplexer, isDoubted: doubts != _verified))
        {
            Volatile.Write(ref _verified, -1);
            _obstacle = "the server was replaced or emptied; in quarantine";
            await PutBackAsync();
        }
        else if (_check.NewcomersWait(Quarantine) is var wait && wait > TimeSpan.Zero)
        {
            // New, or emptied before this process came: no alarm, but the same patience, because others may have to put their writes back.
            _obstacle = "the store is new; others may still put their writes back";
            await Task.Delay(wait, _time, _stop.Token);
        }

        await _check.ReadSecretAsync(multiplexer.GetDatabase());
        _check.Confirm();
        _obstacle = "the connection was lost; the server is being checked";
        Volatile.Write(ref _verified, doubts);
    }

    /// <summary>Twice: before, and after everybody else had the time to notice. An alarm only where something is seen to be missing.</summary>
    private async Task PutBackAsync()
    {
        ReportReset(_check.LostMarker);
        ReportReset(await _putBack() > 0);
        await Task.Delay(Quarantine, _time, _stop.Token);
        ReportReset(await _putBack() > 0);
        if (!_isReset)
        {
            StoreLog.StoreRestarted(_logger, _description);
        }

        _isReset = false;
    }

    private void ReportReset(bool isMissingWrites)
    {
        if (isMissingWrites && !_isReset)
        {
            _isReset = true;
            StoreLog.StoreReset(_logger, _description);
        }
    }

    private async Task<ConnectionMultiplexer> ConnectAsync()
    {
        var multiplexer = await _links.ConnectAsync(_stop.Token);
        multiplexer.ConnectionFailed += (_, _) => Doubt();
        multiplexer.ConnectionRestored += (_, _) => Doubt();
        multiplexer.HashSlotMoved += (_, _) => Doubt();
        Doubt();
        return multiplexer;
    }

    private void Replace(ConnectionMultiplexer? old, bool isSilent = true)
    {
        if (old is not null && Interlocked.CompareExchange(ref _multiplexer, null, old) == old)
        {
            if (!_isReplaced && isSilent)
            {
                // Once for an outage; it goes on until the server answers.
                _isReplaced = true;
                StoreLog.LinkReplaced(_logger, _description);
            }

            // Disposing fails the calls that still wait, which their callers have long given up.
            _ = Task.Run(() => old.Dispose());
        }
    }
}
