using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Keeps the connection, and knows which masters still have what they acknowledged.
/// It connects in the background, so that a gateway starts without its store; the client connects again by itself. Every master is looked at each
/// second, and at once when a connection is lost, a slot moved, or a claim found another server or another epoch than it expected
/// (<see cref="RedisLook"/>). Its buckets take claims after a look that went well.
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);

    /// <summary>Of looks that are under way when the process ends.</summary>
    private static readonly TimeSpan LastLooks = TimeSpan.FromSeconds(3);

    private readonly RedisLinks _links;
    private readonly string _description;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly RedisBuckets _buckets = new();
    private readonly RedisNodes _nodes;
    private readonly StoreOutage _outage;
    private readonly RedisRecordSecret _secret;
    private readonly RedisLook _look;
    private readonly Task _watch;
    private volatile ConnectionMultiplexer? _multiplexer;
    private volatile string _obstacle = "not connected yet";
    private volatile bool _mustAskRoles;
    private Task _roles = Task.CompletedTask;
    private Task _secretKept = Task.CompletedTask;

    /// <param name="settings">How to connect.</param>
    /// <param name="description">For the log.</param>
    /// <param name="scripts">Loaded into every server that is met.</param>
    /// <param name="putBack">Writes the journal of some buckets back.</param>
    /// <param name="lookTimeout">How long a server may take to say who it is.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    public RedisConnection(
        StoreSettings settings, string description, IReadOnlyList<RedisScript> scripts, RedisPutBack putBack, TimeSpan lookTimeout, TimeProvider time, ILogger logger)
    {
        _links = new RedisLinks(settings, time, logger);
        _description = description;
        _time = time;
        _logger = logger;
        _nodes = new RedisNodes(_buckets, time, logger, description);
        _outage = new StoreOutage(logger, description);
        var keys = new RedisKeys(settings.Redis.KeyPrefix);
        _secret = new RedisRecordSecret(settings.Redis.KeyPrefix, description, WatchInterval, time, logger, _stop.Token);
        var marks = new RedisMarksReader(keys, _buckets, _secret, lookTimeout, time, _stop.Token);
        _look = new RedisLook(keys, _buckets, marks, _secret, scripts, settings.Redis.Acknowledge == RedisAcknowledge.Replica, putBack, description, lookTimeout, time, logger, _stop.Token);
        _watch = Task.Run(WatchAsync);
    }

    /// <summary>For writes of owners: they compare tokens, and put back what was lost.</summary>
    /// <exception cref="StoreUnavailableException">Not connected.</exception>
    public IDatabase Database => _multiplexer?.GetDatabase() ?? throw Unavailable(_obstacle);

    /// <summary>The shared secret of record ids.</summary>
    /// <exception cref="StoreUnavailableException">It was not read yet.</exception>
    public byte[] Secret => _secret.Value ?? throw Unavailable(_nodes.Obstacle ?? _obstacle);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch;
        await Task.WhenAll(_nodes.All.Select(node => node.Look)).WaitAsync(LastLooks, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _multiplexer?.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    /// <summary>One more connection to the same servers.</summary>
    /// <exception cref="StoreUnavailableException">No server lets the gateway in; the message says why.</exception>
    public Task<ConnectionMultiplexer> ConnectAnotherAsync() => _links.ConnectAsync(_stop.Token);

    /// <summary>For claims, and for reads whose absence counts.</summary>
    /// <exception cref="StoreUnavailableException">Its server is not connected, not looked at yet after a doubt, or in quarantine.</exception>
    public OpenBucket Open(int bucket) => _buckets.Find(bucket) ?? throw Unavailable(_buckets.NodeOf(bucket)?.Obstacle ?? _nodes.Obstacle ?? _obstacle);

    /// <summary>The masters, when between them they serve every bucket.</summary>
    /// <exception cref="StoreUnavailableException">Some bucket takes no claims.</exception>
    public IEnumerable<RedisNode> Masters => _buckets.AreAllOpen ? _nodes.Serving : throw Unavailable(_nodes.Obstacle ?? _obstacle);

    /// <summary>The master that serves a bucket, or did; null when none was met.</summary>
    public RedisNode? NodeOf(int bucket) => _buckets.NodeOf(bucket);

    /// <summary>For readiness: at least one master takes claims, and none is only about to.</summary>
    /// <exception cref="StoreUnavailableException">No claim would be taken, or the gateway has only just begun to look.</exception>
    public void RequireReady()
    {
        if (!_buckets.IsAnyOpen || _nodes.IsAnyNew)
        {
            throw Unavailable(_nodes.Obstacle ?? _obstacle);
        }
    }

    /// <summary>A claim found another server or another epoch than it was meant for, and was not executed: waits for the look that this calls for.</summary>
    /// <exception cref="StoreUnavailableException">The bucket does not take claims in time.</exception>
    public async Task<OpenBucket> ReopenAsync(OpenBucket seen, bool lacksFence, TimeSpan patience, CancellationToken cancellationToken)
    {
        Doubt(seen, lacksFence);
        await _buckets.WaitAsync(seen.Number, patience, _time, cancellationToken);
        return Open(seen.Number);
    }

    /// <summary>The bucket's server is not the one that it was: no claims in it until it was looked at, which happens at once.</summary>
    /// <param name="seen">The bucket.</param>
    /// <param name="lacksFence">The server did not know the script.</param>
    public void Doubt(OpenBucket seen, bool lacksFence)
    {
        _buckets.Close(seen);
        seen.Node.LacksFence |= lacksFence;
        _nodes.ListAll();
        Wake();
    }

    /// <summary>Slots or roles may have changed: masters are asked for theirs, and looked at anew.</summary>
    public void AskRoles()
    {
        _mustAskRoles = true;
        _nodes.ListAll();
        Wake();
    }

    /// <summary>Replies do not belong to their requests: nothing that comes through this link can be used.</summary>
    /// <param name="multiplexer">The one that lied; a newer one is not to blame.</param>
    public void Distrust(IConnectionMultiplexer multiplexer)
    {
        if (TryReplace(multiplexer))
        {
            StoreLog.LinkReplaced(_logger, _description);
        }

        Wake();
    }

    private bool TryReplace(IConnectionMultiplexer multiplexer)
    {
        _nodes.DoubtAll();
        var isOurs = multiplexer is ConnectionMultiplexer old && Interlocked.CompareExchange(ref _multiplexer, null, old) == old;
        if (isOurs)
        {
            _ = Task.Run(() => multiplexer.Dispose()); // fails the calls that still wait
        }

        return isOurs;
    }

    private StoreUnavailableException Unavailable(string obstacle) => new($"{_description}: {obstacle}");

    private void Wake()
    {
        if (!_stop.IsCancellationRequested && _wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }

    /// <summary>A connection was lost or made: another server may answer there now. That it is still lost is nothing new.</summary>
    private void OnConnection(ConnectionFailedEventArgs change, bool isRestored)
    {
        if (change.ConnectionType != ConnectionType.Subscription && (_nodes.Doubt(change.EndPoint) || isRestored))
        {
            AskRoles();
        }
    }

    private async Task WatchAsync()
    {
        try
        {
            while (true)
            {
                var started = _time.GetTimestamp();
                try
                {
                    await StartLooksAsync();
                }
                catch (Exception e) when (!_stop.IsCancellationRequested)
                {
                    // Whatever the client throws, the watch goes on.
                    Failed(null, e);
                    await Task.Delay(RestAfterFailure, _time, _stop.Token);
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

    /// <summary>A look at every master that is not being looked at. None of them is waited for.</summary>
    private async Task StartLooksAsync()
    {
        var multiplexer = _multiplexer ??= await ConnectAsync();
        if (await _links.IsMasterAnotherAsync(multiplexer, isDoubted: !_buckets.IsAnyOpen, _stop.Token))
        {
            TryReplace(multiplexer);
            throw new StoreUnavailableException("the Sentinels name another master");
        }

        var masters = RedisLinks.MastersOf(multiplexer);
        foreach (var node in _nodes.Meet(masters).Where(node => node.Look.IsCompleted))
        {
            node.IsMaster = true;
            node.Look = LookAsync(node, multiplexer);
        }

        // A promoted replica is found by asking. Not without need: a server that is slow to answer is out of use for the client then.
        if ((_mustAskRoles || masters.Count == 0 || _nodes.IsAnyFailing || (!_buckets.AreAllOpen && !_nodes.IsAnyLookedAt)) && _roles.IsCompleted)
        {
            _mustAskRoles = false;
            _roles = _links.AskRolesAsync(multiplexer, _stop.Token).ContinueWith(_ => Wake(), TaskScheduler.Default);
        }

        if (masters.Count == 0)
        {
            await _links.RequireOpenAsync(multiplexer, _stop.Token);
            throw new StoreUnavailableException("no master is connected");
        }

        if (_secretKept.IsCompleted)
        {
            _secretKept = _secret.KeepAsync(multiplexer.GetDatabase());
        }
    }

    private async Task LookAsync(RedisNode node, IConnectionMultiplexer multiplexer)
    {
        try
        {
            await _look.RunAsync(node, multiplexer);
            node.HasFailed = false;
            if (!_nodes.IsAnyFailing)
            {
                _outage.Up();
            }

            if (node.MustList)
            {
                await RestAsync(); // a slot is being moved, or something changed during the look
                Wake();
            }
        }
#pragma warning disable CA1031 // whatever the client throws, this server was not found to be good
        catch (Exception e)
#pragma warning restore CA1031
        {
            if (_stop.IsCancellationRequested)
            {
                return;
            }

            node.HasFailed = true;
            node.MustList = true;
            node.Doubt();
            Failed(node, e);
            await RestAsync();
        }

        _buckets.Looked();
    }

    private async Task RestAsync() => await Task.Delay(RestAfterFailure, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private void Failed(RedisNode? node, Exception e)
    {
        var reason = node is null ? _obstacle = RedisErrors.Describe(e) : _nodes.Failed(node, RedisErrors.Describe(e));
        _outage.Down(reason, RedisErrors.Refusal(e) ?? (e is StoreUnavailableException ? reason : null));
    }

    private async Task<ConnectionMultiplexer> ConnectAsync()
    {
        var multiplexer = await ConnectAnotherAsync();
        multiplexer.ConnectionFailed += (_, change) => OnConnection(change, isRestored: false);
        multiplexer.ConnectionRestored += (_, change) => OnConnection(change, isRestored: true);
        multiplexer.HashSlotMoved += (_, _) => AskRoles();
        multiplexer.ConfigurationChanged += (_, _) => Wake();
        return multiplexer;
    }
}
