using System.Net;
using StackExchange.Redis;
using StackExchange.Redis.Configuration;

namespace Idempotency.Storage.Redis;

/// <summary>
/// How the client is set up: what is configured, and what the gateway relies on. docs/decisions/0015-redis-client.md says why each is as it is.
/// </summary>
internal sealed class RedisOptions
{
    private readonly StoreSettings _settings;
    private readonly ILoggerFactory? _loggers;

    public RedisOptions(StoreSettings settings, ILogger? logger = null)
    {
        _settings = settings;
        _loggers = logger is null ? null : new RedisClientLog(logger);
        EndPoints = RedisAddresses.EndPointsOf(settings.Redis.Configuration);
        Password = new RedisPassword(settings.Redis.Login);
        SentinelPassword = new RedisPassword(settings.Redis.Sentinel.Login);

        // The machine's authorities publish revocation lists; an own one seldom does.
        var checksRevocation = RedisAddresses.HasOption(settings.Redis.Configuration, "checkCertificateRevocation")
            ? RedisAddresses.OptionsOf(settings.Redis.Configuration).CheckCertificateRevocation
            : settings.Redis.Tls.CaFile is null;
        Tls = settings.Redis.Tls.Enabled ? new RedisTls(settings.Redis.Tls, checksRevocation) : null;
    }

    /// <summary>The servers, or with <see cref="ServiceName"/> the Sentinels.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; }

    public RedisPassword Password { get; }

    public RedisPassword SentinelPassword { get; }

    /// <summary>Null for plain text.</summary>
    public RedisTls? Tls { get; }

    public string? ServiceName => _settings.Redis.Sentinel.ServiceName;

    public string? User => _settings.Redis.Login.User;

    public string? SentinelUser => _settings.Redis.Sentinel.Login.User;

    /// <summary>For banner, log and health: where, and nothing else.</summary>
    public string Description
    {
        get
        {
            var endPoints = string.Join(", ", EndPoints.Select(RedisAddresses.Describe));
            var where = ServiceName is { } service ? $"{SafeText.OfName(service)} by the Sentinels {endPoints}" : endPoints;
            return $"Redis ({where}{(Tls is null ? "" : ", TLS")}, keys {_settings.Redis.KeyPrefix}*)";
        }
    }

    /// <summary>The client's options.</summary>
    /// <param name="servers">Where to connect to.</param>
    public ConfigurationOptions Create(IEnumerable<EndPoint> servers)
    {
        var options = RedisAddresses.OptionsOf(_settings.Redis.Configuration);
        foreach (var server in servers)
        {
            options.EndPoints.Add(server);
        }

        var timeout = (int)_settings.Timeout.TotalMilliseconds;
        options.Defaults = new Login(User, Password); // asked at every connect; and no other defaults by the host's name
        options.Ssl = Tls is not null;
        options.SslClientAuthenticationOptions = Tls is { } tls ? host => tls.OptionsFor(host) : null;

        options.AbortOnConnectFail = false; // the client goes on connecting
        options.ConnectTimeout = Math.Max(1000, timeout);
        options.ConnectRetry = 1;
        options.ReconnectRetryPolicy = new LinearRetry(500); // the default waits up to a minute after a long outage
        options.HeartbeatInterval = TimeSpan.FromMilliseconds(500); // also how finely the next two are looked at
        options.AsyncTimeout = timeout;
        options.SyncTimeout = timeout;
        options.KeepAlive = 10; // seconds
        options.BacklogPolicy = BacklogPolicy.FailFast; // a claim that waits for a connection would be written late

        options.Protocol = RedisProtocol.Resp2;
        options.SharedSubscriptionConnection = false;
        options.MaintenanceNotifications = MaintenanceNotificationMode.Disabled; // they hold commands back, and stretch time limits
        options.TieBreaker = ""; // whichever of two masters is preferred, neither is used before it was verified
        options.ConfigurationChannel = _settings.Redis.KeyPrefix + "servers"; // of ours, and not empty: else the client subscribes only when it is told to, on a connection that is new then
        options.SetClientLibrary = false; // one command less that the user must be allowed
        options.ClientName = "idempotency-gateway";
        options.AllowAdmin = true; // the client counts INFO among the admin commands
        options.LoggerFactory = _loggers;
        if (!_settings.Redis.Configuration.Contains('$', StringComparison.Ordinal))
        {
            options.CommandMap = CommandMap.Create(["CONFIG"], available: false); // asked for things that are not used
        }

        return options;
    }

    /// <summary>What the client asks for whenever it makes a connection.</summary>
    private sealed class Login(string? user, RedisPassword password) : DefaultOptionsProvider
    {
        public override string? User => user;

        public override string? Password => password.Current;
    }
}
