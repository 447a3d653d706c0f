using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>
/// The settings in force, and their hot reload: the file is looked at every second (which also sees a Kubernetes ConfigMap change, a
/// swap of links). A new configuration that is wrong is logged and the old one stays; a right one replaces routes, clusters and
/// policies together. What is only read at start is named in the log when it changes.
/// </summary>
internal sealed class LiveSettings : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly string _file;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private volatile GatewaySettings _current;
    private byte[] _seen;
    private int _revision;

    public LiveSettings(string file, GatewaySettings settings, TimeProvider time, ILogger<LiveSettings> logger)
    {
        _file = file;
        _time = time;
        _logger = logger;
        _current = settings;
        _seen = TryRead() ?? [];
        Proxy = new InMemoryConfigProvider(Revised(settings.Routes), settings.Clusters);
    }

    public GatewaySettings Current => _current;

    /// <summary>Hands routes and clusters to YARP.</summary>
    public InMemoryConfigProvider Proxy { get; }

    /// <summary>Looks at the file once, as the timer does.</summary>
    public void Refresh()
    {
        if (TryRead() is not { } bytes || bytes.AsSpan().SequenceEqual(_seen))
        {
            return;
        }

        _seen = bytes;
        var errors = new ConfigurationErrors();
        if (SettingsLoader.Load(_file, errors) is not { } settings)
        {
            ConfigurationLog.Rejected(_logger, _file, string.Join("; ", errors.Errors));
            return;
        }

        foreach (var warning in settings.Warnings)
        {
            ConfigurationLog.Doubtful(_logger, warning);
        }

        if (settings.Store != _current.Store || settings.Admin != _current.Admin || settings.Secret != _current.Secret || settings.ShutdownGrace != _current.ShutdownGrace)
        {
            ConfigurationLog.NeedsRestart(_logger);
        }

        // Policies first: endpoints that YARP builds for the new routes look them up here.
        _current = settings;
        Proxy.Update(Revised(settings.Routes), settings.Clusters);
        ConfigurationLog.Reloaded(_logger, _file, settings.Routes.Count, settings.Policies.Count);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                Refresh();
            }
        }
        catch (OperationCanceledException)
        {
            // The process is ending.
        }
    }

    /// <summary>Marks guarded routes with the reload's number: YARP rebuilds only what changed, and a changed policy is not in its view.</summary>
    private List<RouteConfig> Revised(IReadOnlyList<RouteConfig> routes)
    {
        var revision = (++_revision).ToString(null, null);
        return [.. routes.Select(route => route.Metadata?.ContainsKey(GatewaySettings.MetadataKey) is true
            ? route with { Metadata = new Dictionary<string, string>(route.Metadata, StringComparer.OrdinalIgnoreCase) { ["Idempotency.Revision"] = revision } }
            : route)];
    }

    /// <summary>Null while the file cannot be read, for instance in the middle of being replaced.</summary>
    private byte[]? TryRead()
    {
        try
        {
            return File.ReadAllBytes(_file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
