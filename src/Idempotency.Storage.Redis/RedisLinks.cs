using System.Net;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Makes the client's connections: finds out where to (by Sentinel, if there is one), and whether the servers let the gateway in, before the
/// client begins; and says why not.
/// </summary>
internal sealed class RedisLinks
{
    /// <summary>Of one look at a server's door, in which it is asked a dozen things.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Above the client's own wait for silent end points, which is its connect timeout of a second.</summary>
    private static readonly TimeSpan RolesTimeout = TimeSpan.FromSeconds(3);

    private readonly RedisOptions _options;
    private readonly string _keyPrefix;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RedisRefusals _refusals;
    private readonly RedisSentinels? _sentinels;

    public RedisLinks(StoreSettings settings, TimeProvider time, ILogger logger)
    {
        _options = new RedisOptions(settings, logger);
        _keyPrefix = settings.Redis.KeyPrefix;
        _time = time;
        _logger = logger;
        _refusals = new RedisRefusals(_options.User, _options.Password, _options.Tls, time);
        _sentinels = _options.ServiceName is null ? null : new RedisSentinels(_options, time);
    }

    /// <summary>A client that is connected to a server, or was not let in and tries again.</summary>
    /// <exception cref="StoreUnavailableException">No server lets the gateway in; the message says why.</exception>
    public async Task<ConnectionMultiplexer> ConnectAsync(CancellationToken cancellationToken)
    {
        var servers = _sentinels is null ? _options.EndPoints : new[] { await _sentinels.FindMasterAsync(cancellationToken) };
        var refusals = await Task.WhenAll(servers.Select(server => LookAsync(server, cancellationToken)));
        if (Array.TrueForAll(refusals, refusal => refusal is not null))
        {
            throw new StoreUnavailableException(Join(servers.Zip(refusals.OfType<string>()), "the server"));
        }

        // The token is passed to the wait, not to the client: it has no cancellation, and an abandoned attempt ends by itself.
        var multiplexer = await ConnectionMultiplexer.ConnectAsync(_options.Create(servers)).WaitAsync(cancellationToken);
        if (_sentinels is not null && multiplexer.GetServer(servers[0]).ServerType == ServerType.Cluster)
        {
            await multiplexer.DisposeAsync();
            throw new StoreUnavailableException("the Sentinels name a node of a Cluster; leave Store:Redis:Sentinel out, and name the Cluster's nodes");
        }

        return multiplexer;
    }

    /// <summary>
    /// Whether the Sentinels name another master now: the client must be replaced. While they do not answer, the known master stays, unless
    /// the connection to it was lost: then it may be one no longer.
    /// </summary>
    /// <exception cref="StoreUnavailableException">Doubted, and no Sentinel tells.</exception>
    public async Task<bool> IsMasterAnotherAsync(IConnectionMultiplexer multiplexer, bool isDoubted, CancellationToken cancellationToken)
    {
        if (_sentinels is null)
        {
            return false;
        }

        try
        {
            var master = await _sentinels.FindMasterAsync(cancellationToken);
            return !multiplexer.GetEndPoints(configuredOnly: true).Contains(master);
        }
        catch (StoreUnavailableException) when (!isDoubted)
        {
            return false;
        }
    }

    /// <summary>
    /// Ends the look at servers of which none is connected with the reason for it. The client would be asked for seconds, and not know.
    /// </summary>
    /// <exception cref="StoreUnavailableException">None is connected, and none lets the gateway in.</exception>
    public async Task RequireOpenAsync(ConnectionMultiplexer multiplexer, CancellationToken cancellationToken)
    {
        if (multiplexer.GetServers().Any(server => server.IsConnected))
        {
            return;
        }

        var refusals = await Task.WhenAll(
            multiplexer.GetEndPoints().Select(async server => (server, Reason: await _refusals.WhyAsync(server, cancellationToken))));
        var known = refusals.Where(refusal => refusal.Reason is not null).Select(refusal => (refusal.server, refusal.Reason!)).ToList();
        if (known.Count == refusals.Length)
        {
            throw new StoreUnavailableException(Join(known, "the server"));
        }
    }

    /// <summary>The end points that are connected and say that they are masters.</summary>
    public static IReadOnlySet<EndPoint> MastersOf(IConnectionMultiplexer multiplexer) =>
        multiplexer.GetServers().Where(server => server.IsConnected && !server.IsReplica).Select(server => server.EndPoint).ToHashSet();

    /// <summary>Asks all end points for their roles. One that is silent takes its time, and holds up nobody; what is known stays then.</summary>
    public async Task AskRolesAsync(ConnectionMultiplexer multiplexer, CancellationToken cancellationToken)
    {
        try
        {
            await multiplexer.ConfigureAsync().WaitAsync(RolesTimeout, _time, cancellationToken);
        }
#pragma warning disable CA1031 // whatever the client throws, the looks decide
        catch (Exception)
#pragma warning restore CA1031
        {
        }
    }

    /// <summary>One reason for all, or each with its end point.</summary>
    public static string Join(IEnumerable<(EndPoint EndPoint, string Reason)> reasons, string what)
    {
        var groups = reasons.GroupBy(reason => reason.Reason, reason => RedisAddresses.Describe(reason.EndPoint)).ToList();
        return string.Join("; ", groups.Select(group => $"{what} {string.Join(", ", group)}: {group.Key}"));
    }

    /// <summary>Why a server is of no use; null when it lets the gateway in, and lets it do what it must.</summary>
    private async Task<string?> LookAsync(EndPoint server, CancellationToken cancellationToken)
    {
        try
        {
            using var knock = await _refusals.OpenAsync(server, cancellationToken);
            using var deadline = new CancellationTokenSource(Patience, _time);
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
            if (await RedisRights.FindMissingAsync(knock, _keyPrefix, bound.Token) is { Count: > 0 } missing)
            {
                return $"NOPERM, the user may not run or use: {string.Join(", ", missing)}";
            }

            if (await RedisRights.FindAdvisableAsync(knock, _keyPrefix, bound.Token) is { Count: > 0 } advisable)
            {
                StoreLog.Preflight(
                    _logger, $"Redis {RedisAddresses.Describe(server)}", $"the user may not run or use: {string.Join(", ", advisable)}; a replaced server or a change may be noticed late");
            }

            return null;
        }
        catch (StoreUnavailableException e)
        {
            return e.Message;
        }
        catch (Exception e) when (e is IOException or InvalidDataException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return "no answer";
        }
    }
}
