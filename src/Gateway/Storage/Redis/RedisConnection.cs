using System.Collections.Concurrent;
using System.Net;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Keeps the connection, and knows which masters still have what they acknowledged.
/// <list type="bullet">
/// <item>It connects in the background, so that a gateway starts without its store. The client connects again by itself.</item>
/// <item>Every master is looked at each second, and at once when a connection is lost, a slot moved, or a claim found another server or another
/// epoch than it expected (<see cref="RedisLook"/>). Its buckets take claims after a look that went well.</item>
/// </list>
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CheckTimeout = WatchInterval;

    /// <summary>Above the client's own wait for silent end points, which is its connect timeout of a second.</summary>
    private static readonly TimeSpan RolesTimeout = TimeSpan.FromSeconds(3);

    private readonly RedisLinks _links;
    private readonly string _description;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly ConcurrentDictionary<EndPoint, RedisNode> _nodes = new();
    private readonly RedisBuckets _buckets = new();
    private readonly RedisSecret _secret;
    private readonly RedisLook _look;
    private readonly Task _watch;
    private volatile ConnectionMultiplexer? _multiplexer;
    private volatile string _obstacle = "not connected yet";
    private volatile bool _mustAskRoles;
    private volatile TaskCompletionSource _looked = NewSignal();
    private Task _roles = Task.CompletedTask;
    private Task _secretKept = Task.CompletedTask;
    private bool _isDown;
    private string? _refusal;

    /// <param name="settings">How to connect.</param>
    /// <param name="description">For the log.</param>
    /// <param name="scripts">Loaded into every server that is met.</param>
    /// <param name="putBack">Writes the journal of some buckets back; returns how many were missing, and the failure if some could not be written.</param>
    /// <param name="time">Local time.</param>
    /// <param name="logger">For the log.</param>
    public RedisConnection(
        StoreSettings settings, string description, IReadOnlyList<RedisScript> scripts,
        Func<IReadOnlyCollection<int>, Task<(int Count, Exception? Failure)>> putBack, TimeProvider time, ILogger logger)
    {
        _links = new RedisLinks(settings, time, logger);
        _description = description;
        _time = time;
        _logger = logger;
        var keys = new RedisKeys(settings.Redis.KeyPrefix);
        _secret = new RedisSecret(settings.Redis.KeyPrefix, description, CheckTimeout, time, logger, _stop.Token);
        _look = new RedisLook(keys, _buckets, _secret, scripts, settings.Redis.Acknowledge == RedisAcknowledge.Replica, putBack, description, CheckTimeout, time, logger, _stop.Token);
        _watch = Task.Run(WatchAsync);
    }

    /// <summary>For writes of owners: they compare tokens, and put back what was lost.</summary>
    /// <exception cref="StoreUnavailableException">Not connected.</exception>
    public IDatabase Database => _multiplexer?.GetDatabase() ?? throw Unavailable(_obstacle);

    /// <summary>The shared secret of record ids.</summary>
    /// <exception cref="StoreUnavailableException">It was not read yet.</exception>
    public byte[] Secret => _secret.Value ?? throw Unavailable(Obstacle);

    /// <summary>Why nothing takes claims.</summary>
    private string Obstacle => _nodes.Values.Where(node => node.IsMaster).Select(node => node.Obstacle).FirstOrDefault() ?? _obstacle;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch;
        await Task.WhenAll(_nodes.Values.Select(node => node.Look)).WaitAsync(RolesTimeout, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _multiplexer?.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    /// <summary>One more connection to the same servers.</summary>
    /// <exception cref="StoreUnavailableException">No server lets the gateway in; the message says why.</exception>
    public Task<ConnectionMultiplexer> ConnectAnotherAsync() => _links.ConnectAsync(_stop.Token);

    /// <summary>For claims, and for reads whose absence counts.</summary>
    /// <exception cref="StoreUnavailableException">Its server is not connected, not looked at yet after a doubt, or in quarantine.</exception>
    public OpenBucket Open(int bucket) => _buckets.Find(bucket) ?? throw Unavailable(_buckets.NodeOf(bucket)?.Obstacle ?? Obstacle);

    /// <summary>The master that serves a bucket, or did; null when none was met.</summary>
    public RedisNode? NodeOf(int bucket) => _buckets.NodeOf(bucket);

    /// <summary>For readiness: at least one master takes claims, and none is only about to.</summary>
    /// <exception cref="StoreUnavailableException">No claim would be taken, or the gateway has only just begun to look.</exception>
    public void RequireReady()
    {
        if (!_buckets.IsAnyOpen || _nodes.Values.Any(node => node is { IsMaster: true, Identity: null, HasFailed: false }))
        {
            throw Unavailable(Obstacle);
        }
    }

    /// <summary>A claim found another server or another epoch than it was meant for, and was not executed: waits for the look that this calls for.</summary>
    /// <exception cref="StoreUnavailableException">The bucket does not take claims in time.</exception>
    public async Task<OpenBucket> ReopenAsync(OpenBucket seen, TimeSpan patience, CancellationToken cancellationToken)
    {
        var began = _time.GetTimestamp();
        Doubt(seen);
        while (_buckets.Find(seen.Number) is null)
        {
            var looked = _looked.Task;
            if (_buckets.Find(seen.Number) is not null)
            {
                break;
            }

            var left = patience - _time.GetElapsedTime(began);
            if (left <= TimeSpan.Zero || await Task.WhenAny(looked, Task.Delay(left, _time, cancellationToken)) != looked)
            {
                break;
            }
        }

        return Open(seen.Number);
    }

    /// <summary>The bucket's server is not the one that it was: no claims in it until it was looked at, which happens at once.</summary>
    public void Doubt(OpenBucket seen)
    {
        _buckets.Close(seen);
        seen.Node.MustList = true;
        Wake();
    }

    /// <summary>Slots or roles may have changed: masters are asked for theirs, and looked at anew.</summary>
    public void AskRoles()
    {
        _mustAskRoles = true;
        foreach (var node in _nodes.Values)
        {
            node.MustList = true;
        }

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
        foreach (var node in _nodes.Values)
        {
            node.Doubt();
        }

        if (multiplexer is not ConnectionMultiplexer old || Interlocked.CompareExchange(ref _multiplexer, null, old) != old)
        {
            return false;
        }

        // Disposing fails the calls that still wait.
        _ = Task.Run(() => old.Dispose());
        return true;
    }

    private static bool IsMaster(IServer server) => server.IsConnected && !server.IsReplica;

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private StoreUnavailableException Unavailable(string obstacle) => new($"{_description}: {obstacle}");

    private void Wake()
    {
        if (!_stop.IsCancellationRequested && _wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }

    /// <summary>A connection to this end point was lost or made: another server may answer there now.</summary>
    private void OnConnection(ConnectionFailedEventArgs change)
    {
        if (change.ConnectionType == ConnectionType.Subscription)
        {
            return;
        }

        if (change.EndPoint is { } endPoint && _nodes.TryGetValue(endPoint, out var node))
        {
            node.Doubt();
        }

        AskRoles();
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

        if (_mustAskRoles && _roles.IsCompleted)
        {
            _mustAskRoles = false;
            _roles = AskRolesAsync(multiplexer);
        }

        var masters = multiplexer.GetServers().Where(IsMaster).Select(server => server.EndPoint).ToHashSet();
        foreach (var node in _nodes.Values)
        {
            node.IsMaster = masters.Contains(node.EndPoint);
            if (!node.IsMaster)
            {
                _buckets.Close(node);
            }
        }

        foreach (var endPoint in masters)
        {
            var node = _nodes.GetOrAdd(endPoint, _ => new RedisNode(endPoint, _buckets, _time, _logger, _description));
            if (node.Look.IsCompleted)
            {
                node.IsMaster = true;
                node.Look = LookAsync(node, multiplexer);
            }
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
            await _look.RunAsync(node, multiplexer, [.. _nodes.Values]);
            node.HasFailed = false;
            ReportUp();
            if (node.MustList)
            {
                // A slot is being moved, or something changed during the look.
                await Task.Delay(RestAfterFailure, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
            await Task.Delay(RestAfterFailure, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        Interlocked.Exchange(ref _looked, NewSignal()).TrySetResult();
    }

    /// <summary>Asks all end points for their roles. One that is silent takes its time, and holds up nobody.</summary>
    private async Task AskRolesAsync(ConnectionMultiplexer multiplexer)
    {
        try
        {
            await multiplexer.ConfigureAsync().WaitAsync(RolesTimeout, _time, _stop.Token);
        }
#pragma warning disable CA1031 // what is known stays; the looks decide
        catch (Exception)
#pragma warning restore CA1031
        {
        }

        Wake();
    }

    private void Failed(RedisNode? node, Exception e)
    {
        var obstacle = RedisErrors.Describe(e);
        if (node is null)
        {
            _obstacle = obstacle;
        }
        else
        {
            node.Obstacle = _nodes.Count > 1 ? $"{node.EndPoint}: {obstacle}" : obstacle;
        }

        ReportDown(node?.Obstacle ?? obstacle, RedisErrors.Refusal(e) ?? (e is StoreUnavailableException ? obstacle : null));
    }

    /// <summary>Once for an outage, and again when the server tells why: the first sign is often only a closed connection.</summary>
    private void ReportDown(string reason, string? refusal)
    {
        if (!_isDown || (refusal is not null && refusal != _refusal))
        {
            _isDown = true;
            _refusal = refusal;
            StoreLog.Failing(_logger, _description, reason);
        }
    }

    /// <summary>Only when no master is failing any more.</summary>
    private void ReportUp()
    {
        if (_isDown && !_nodes.Values.Any(node => node is { IsMaster: true, HasFailed: true }))
        {
            _isDown = false;
            _refusal = null;
            StoreLog.Recovered(_logger, _description);
        }
    }

    private async Task<ConnectionMultiplexer> ConnectAsync()
    {
        var multiplexer = await ConnectAnotherAsync();
        multiplexer.ConnectionFailed += (_, change) => OnConnection(change);
        multiplexer.ConnectionRestored += (_, change) => OnConnection(change);
        multiplexer.HashSlotMoved += (_, _) => AskRoles();
        multiplexer.ConfigurationChanged += (_, _) => Wake();
        return multiplexer;
    }
}
