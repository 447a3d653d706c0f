using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// One look at the servers: whether they are the ones that were known, still hold what they acknowledged, and what all gateways share
/// (secret and clock). What was noticed is not forgotten when a later step of the same look fails.
/// </summary>
internal sealed class RedisServerCheck(
    string keyPrefix, string description, IReadOnlyList<RedisScript> scripts, TimeSpan timeout, TimeProvider time, ILogger logger, CancellationToken stop)
{
    /// <summary>Above the client's own wait for silent end points, which is its connect timeout of a second.</summary>
    private static readonly TimeSpan RolesTimeout = TimeSpan.FromSeconds(3);

    private readonly Dictionary<EndPoint, string> _runIds = [];
    private readonly RedisKey _epochKey = keyPrefix + "epoch";
    private readonly RedisKey _secretKey = keyPrefix + "secret";
    private volatile byte[]? _secret;
    private string? _epoch;
    private string? _seenEpoch;
    private bool _isComplete;
    private bool _lostWrites;
    private bool _lostMarker;

    /// <summary>The servers' time.</summary>
    public StoreClock Clock { get; } = new(time);

    /// <summary>The shared secret of record ids, once it was read.</summary>
    public byte[]? Secret => _secret;

    /// <summary>Whether the server is known to have lost everything since the last <see cref="Confirm"/>, and not only to have started anew.</summary>
    public bool LostMarker => _lostMarker;

    /// <summary>Whether writes may have been lost since the last <see cref="Confirm"/>.</summary>
    /// <param name="multiplexer">The connection.</param>
    /// <param name="isDoubted">A connection was lost: roles and slots may have moved, and every master must answer.</param>
    public async Task<bool> HasLostWritesAsync(ConnectionMultiplexer multiplexer, bool isDoubted)
    {
        if (isDoubted)
        {
            await RefreshRolesAsync(multiplexer);
        }

        var database = multiplexer.GetDatabase();
        await LookAtMastersAsync(multiplexer, isDoubted);
        await ReadClockAsync(database);
        if (_secret is { } secret)
        {
            // Before the marker: whoever finds the marker finds the secret.
            await WithinAsync(database.StringSetAsync(_secretKey, secret, expiry: null, When.NotExists, CommandFlags.DemandMaster));
        }

        await LookAtMarkerAsync(database);
        return _lostWrites || _lostMarker;
    }

    /// <summary>
    /// How long a process that does not know this store yet must wait: until the marker is so old that everybody has put back what was
    /// lost when it was set.
    /// </summary>
    public TimeSpan NewcomersWait(TimeSpan quarantine)
    {
        if (_epoch is not null || !long.TryParse(_seenEpoch?.Split('-')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var setAt))
        {
            return TimeSpan.Zero;
        }

        // A clock that was set back since then must not make the wait any longer.
        var age = TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - setAt));
        return age < quarantine ? quarantine - age : TimeSpan.Zero;
    }

    /// <summary>What was lost is put back, what is new is known.</summary>
    public void Confirm()
    {
        _epoch = _seenEpoch;
        _lostWrites = false;
        _lostMarker = false;
        _isComplete = true;
    }

    /// <summary>Reads, or makes, the secret that all gateways share.</summary>
    public async Task ReadSecretAsync(IDatabase database)
    {
        var secret = (byte[]?)await WithinAsync(database.StringGetAsync(_secretKey, CommandFlags.DemandMaster));
        if (secret is null)
        {
            RedisValue mine = _secret ?? RandomNumberGenerator.GetBytes(Digest.Size);
            await WithinAsync(database.StringSetAsync(_secretKey, mine, expiry: null, When.NotExists, CommandFlags.DemandMaster));
            secret = await WithinAsync(database.StringGetAsync(_secretKey, CommandFlags.DemandMaster));
        }

        if (_secret is { } known && !known.AsSpan().SequenceEqual(secret))
        {
            StoreLog.SecretChanged(logger, description);
        }

        _secret = secret ?? throw new StoreUnavailableException("Redis returned no secret right after it was set");
    }

    /// <summary>Asks all end points for their roles; one that is silent must not keep the others from being looked at.</summary>
    private async Task RefreshRolesAsync(ConnectionMultiplexer multiplexer)
    {
        try
        {
            await multiplexer.ConfigureAsync().WaitAsync(RolesTimeout, time, stop);
        }
        catch (TimeoutException)
        {
            // What is known stays; the look at the masters decides.
        }
    }

    private async Task ReadClockAsync(IDatabase database)
    {
        // Through a script: the client's own TIME needs a server, and a Cluster has many. The key only picks the node.
        var now = (RedisResult[])(await WithinAsync(
            database.ScriptEvaluateAsync("return redis.call('TIME')", [_secretKey], [], CommandFlags.DemandMaster)))!;
        Clock.Set(((long)now[0] * 1000) + ((long)now[1] / 1000));
    }

    /// <summary>Whether a master started anew or another one took its place. The first whole look sets what is known.</summary>
    private async Task LookAtMastersAsync(ConnectionMultiplexer multiplexer, bool isDoubted)
    {
        foreach (var server in multiplexer.GetEndPoints().Select(endPoint => multiplexer.GetServer(endPoint)).Where(IsMaster))
        {
            RedisServerFacts facts;
            try
            {
                facts = RedisServerFacts.Parse(await ReadInfoAsync(server));
            }
            catch (Exception e) when (!isDoubted && e is TimeoutException or RedisConnectionException)
            {
                // One silent node of a Cluster does not close the others; claims for its own slots fail by themselves.
                continue;
            }

            if (_runIds.GetValueOrDefault(server.EndPoint) == facts.RunId)
            {
                continue;
            }

            _lostWrites |= _isComplete;
            await Task.WhenAll(scripts.Select(script => script.LoadAsync(server))).WaitAsync(timeout, time, stop);
            _runIds[server.EndPoint] = facts.RunId;
            foreach (var finding in RedisPreflight.Judge(facts))
            {
                StoreLog.Preflight(logger, $"Redis {server.EndPoint}", finding);
            }
        }

        if (_runIds.Count == 0)
        {
            throw new StoreUnavailableException("no master is connected");
        }
    }

    /// <summary>Tells little where the user may not ask: then a replaced server is only noticed by its missing marker.</summary>
    private async Task<string> ReadInfoAsync(IServer server)
    {
        try
        {
            return await WithinAsync(server.InfoRawAsync()) ?? "";
        }
        catch (RedisServerException e)
        {
            return $"redis_version:not told ({RedisErrors.Describe(e)})";
        }
    }

    /// <summary>
    /// A marker that only goes when everything goes (FLUSHALL keeps the run id); a new one tells the other gateways. It begins with the
    /// server's time at which it was set.
    /// </summary>
    private async Task LookAtMarkerAsync(IDatabase database)
    {
        var epoch = (string?)await WithinAsync(database.StringGetAsync(_epochKey, CommandFlags.DemandMaster));
        _lostMarker |= _epoch is not null && epoch != _epoch;
        if (epoch is null)
        {
            var mine = string.Create(CultureInfo.InvariantCulture, $"{Clock.Now}-{Guid.NewGuid():n}");
            await WithinAsync(database.StringSetAsync(_epochKey, mine, expiry: null, When.NotExists, CommandFlags.DemandMaster));
            epoch = await WithinAsync(database.StringGetAsync(_epochKey, CommandFlags.DemandMaster));
        }

        _seenEpoch = epoch;
    }

    private Task<T> WithinAsync<T>(Task<T> call) => call.WaitAsync(timeout, time, stop);

    private static bool IsMaster(IServer server) =>
        server.IsConnected && !server.IsReplica;
}
