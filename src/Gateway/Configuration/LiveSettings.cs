using System.Collections.Concurrent;
using Gateway.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>
/// The settings in force, and their hot reload: the file is looked at every second (which also sees a Kubernetes ConfigMap change, a
/// swap of links). A new configuration that is wrong is logged and the old one stays; a right one replaces routes, clusters and
/// policies together. What is only read at start is named in the log when it changes.
/// </summary>
internal sealed class LiveSettings : BackgroundService
{
    private const string RevisionKey = "Idempotency.Revision";
    private const int KeptRevisions = 8;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly string _file;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private volatile GatewaySettings _current;
    private byte[] _seen;
    private readonly ConcurrentDictionary<string, GatewaySettings> _revisions = new();
    private readonly Queue<string> _newest = new();

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

    /// <summary>The policy of a route as it was when the route was: two reloads in a row do not mix.</summary>
    /// <exception cref="InvalidOperationException">The route asks for a policy that is gone; it must not be served unprotected.</exception>
    public IdempotencyPolicy? PolicyOf(RouteConfig route)
    {
        if (route.Metadata is null || !route.Metadata.TryGetValue(RevisionKey, out var revision))
        {
            return null;
        }

        return (_revisions.TryGetValue(revision, out var settings) ? settings.PolicyOf(route) : null)
            ?? throw new InvalidOperationException($"The policy of the route {route.RouteId} is gone.");
    }

    /// <summary>Looks at the file once, as the timer does.</summary>
    public void Refresh()
    {
        if (TryRead() is not { } bytes || bytes.AsSpan().SequenceEqual(_seen))
        {
            return;
        }

        _seen = bytes;
        var errors = new ConfigurationErrors();
        if (SettingsLoader.Load(_file, bytes, errors) is not { } settings)
        {
            ConfigurationLog.Rejected(_logger, _file, string.Join("; ", errors.Errors));
            return;
        }

        if (settings.Jwt is not null && _current.Jwt is null)
        {
            ConfigurationLog.Rejected(_logger, _file, "Authentication:Jwt was added, which takes effect after a restart only");
            return;
        }

        foreach (var warning in settings.Warnings)
        {
            ConfigurationLog.Doubtful(_logger, warning);
        }

        if (!settings.OfTheProcess.Equals(_current.OfTheProcess))
        {
            ConfigurationLog.NeedsRestart(_logger);
        }

        // Policies first: endpoints that YARP builds for the new routes look them up here, by the revision in their metadata.
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
                try
                {
                    Refresh();
                }
#pragma warning disable CA1031 // a background loop: no content of a file may end the gateway
                catch (Exception e)
#pragma warning restore CA1031
                {
                    ConfigurationLog.Rejected(_logger, _file, e.Message);
                }
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
        var revision = Guid.NewGuid().ToString("n");
        _revisions[revision] = _current;
        if (_revisions.Count > KeptRevisions)
        {
            _revisions.TryRemove(_newest.Dequeue(), out _);
        }

        _newest.Enqueue(revision);
        return [.. routes.Select(route => route.Metadata?.ContainsKey(GatewaySettings.MetadataKey) is true
            ? route with { Metadata = new Dictionary<string, string>(route.Metadata, StringComparer.OrdinalIgnoreCase) { [RevisionKey] = revision } }
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
