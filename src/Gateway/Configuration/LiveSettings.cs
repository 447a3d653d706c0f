using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
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
    private readonly PolicyBook _policies;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private volatile GatewaySettings _current;
    private byte[] _seen;

    public LiveSettings(string file, GatewaySettings settings, PolicyBook policies, TimeProvider time, ILogger<LiveSettings> logger)
    {
        _file = file;
        _policies = policies;
        _time = time;
        _logger = logger;
        _current = settings;
        _seen = TryRead() ?? [];
        Proxy = new InMemoryConfigProvider(policies.Publish(settings.Policies, settings.Routes), settings.Clusters);
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

        SettingsLog.Doubtful(_logger, settings.Warnings);

        if (!settings.OfTheProcess.Equals(_current.OfTheProcess))
        {
            ConfigurationLog.NeedsRestart(_logger);
        }

        _current = settings;
        Proxy.Update(_policies.Publish(settings.Policies, settings.Routes), settings.Clusters);
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
