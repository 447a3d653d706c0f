using Idempotency.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Tests.Library;

/// <summary>Somebody's own YARP host, whose routes come from memory, with the library as its documentation says.</summary>
internal sealed class YarpHost : IAsyncDisposable
{
    /// <summary>What the host's configuration says of idempotency, unless a test says something else.</summary>
    public static readonly IReadOnlyDictionary<string, string?> Policies = new Dictionary<string, string?>
    {
        ["Idempotency:Policies:orders:Methods:0"] = "POST",
        ["Idempotency:Policies:orders:Methods:1"] = "DELETE",
        ["Idempotency:Policies:orders:Scope:0"] = "header:Authorization",
    };

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-library-");
    private WebApplication? _app;

    public InMemoryConfigProvider Routes { get; private set; } = null!;

    /// <summary>Lines of warnings and errors.</summary>
    public Microsoft.Extensions.Logging.Testing.FakeLogCollector Log => _app!.Services.GetRequiredService<Microsoft.Extensions.Logging.Testing.FakeLogCollector>();

    public string Url => _app!.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    /// <param name="backend">Where the only cluster leads.</param>
    /// <param name="before">What the host does before it adds idempotency.</param>
    /// <param name="after">What it does then.</param>
    /// <param name="configuration">Instead of <see cref="Policies"/>.</param>
    /// <param name="hasStore">It adds one.</param>
    /// <param name="store">Which; null for SQLite.</param>
    /// <param name="pipeline">Instead of the documented one.</param>
    /// <param name="policy">Of the only route; null for none.</param>
    /// <param name="key">Of the line in its metadata.</param>
    /// <param name="more">What else it maps.</param>
    public static async Task<YarpHost> StartAsync(
        string backend,
        Action<IReverseProxyBuilder>? before = null,
        Action<IServiceCollection>? after = null,
        IReadOnlyDictionary<string, string?>? configuration = null,
        bool hasStore = true,
        Action<IdempotencyBuilder>? store = null,
        Action<IReverseProxyApplicationBuilder>? pipeline = null,
        string? policy = "orders",
        string key = "Idempotency",
        Action<WebApplication>? more = null)
    {
        var host = new YarpHost();
        try
        {
            var builder = WebApplication.CreateEmptyBuilder(new());
            builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
            builder.Services.AddRouting();
            builder.Configuration.AddInMemoryCollection(configuration ?? Policies);
            builder.Logging.AddFakeLogging().SetMinimumLevel(LogLevel.Warning);
            host.Routes = new InMemoryConfigProvider([Route(policy, key: key)], [Cluster(backend)]);
            builder.Services.AddSingleton<IProxyConfigProvider>(host.Routes);
            var proxy = builder.Services.AddReverseProxy();
            before?.Invoke(proxy);
            var idempotency = proxy.AddIdempotency(builder.Configuration.GetSection("Idempotency"));
            if (hasStore)
            {
                (store ?? (builder => builder.UseSqlite(Path.Combine(host._directory.FullName, "keys.db"))))(idempotency);
            }

            after?.Invoke(builder.Services);
            builder.Services.AddHealthChecks().AddIdempotencyStore();
            host._app = builder.Build();
            host._app.MapHealthChecks("/ready");
            host._app.MapIdempotencySpecification();
            host._app.MapReverseProxy(pipeline ?? (proxy =>
            {
                proxy.UseIdempotency();
                proxy.UseSessionAffinity();
                proxy.UseLoadBalancing();
                proxy.UsePassiveHealthChecks();
            }));
            more?.Invoke(host._app);
            await host._app.StartAsync();
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    public static RouteConfig Route(string? policy, string path = "/orders/{**rest}", string key = "Idempotency") => new()
    {
        RouteId = "orders",
        ClusterId = "backend",
        Match = new RouteMatch { Path = path },
        Metadata = policy is null ? null : new Dictionary<string, string> { [key] = policy },
    };

    public static ClusterConfig Cluster(string backend) => new()
    {
        ClusterId = "backend",
        Destinations = new Dictionary<string, DestinationConfig> { ["one"] = new() { Address = backend } },
        HttpRequest = new() { ActivityTimeout = TimeSpan.FromSeconds(20) },
    };

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }

        _directory.Delete(recursive: true);
    }
}
