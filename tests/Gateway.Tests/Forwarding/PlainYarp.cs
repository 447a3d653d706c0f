using System.Net;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Forwarding;

/// <summary>YARP on Kestrel as it comes, with nothing of ours, before one backend: what the gateway would do without its cures.</summary>
internal sealed class PlainYarp : IAsyncDisposable
{
    private readonly WebApplication _app;

    private PlainYarp(WebApplication app) => _app = app;

    /// <summary>Where it listens, without a trailing slash.</summary>
    public string Url => _app.Urls.Single();

    /// <summary>What YARP said of each forward.</summary>
    public Ledger<ForwarderError> Errors { get; } = new();

    /// <param name="backend">Its address.</param>
    /// <param name="http2">The backend speaks HTTP/2 and nothing else.</param>
    /// <param name="around">In YARP's pipeline, around the forward.</param>
    public static async Task<PlainYarp> StartAsync(string backend, bool http2 = false, Func<HttpContext, Func<Task>, Task>? around = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.Logging.ClearProviders();
        builder.Services.AddRouting().AddAuthorization().AddCors();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1));
        var requests = http2 ? new ForwarderRequestConfig { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact } : null;
        builder.Services.AddReverseProxy().LoadFromMemory(
            [new RouteConfig { RouteId = "all", ClusterId = "one", Match = new RouteMatch { Path = "/{**rest}" } }],
            [new ClusterConfig { ClusterId = "one", HttpRequest = requests, Destinations = new Dictionary<string, DestinationConfig> { ["one"] = new() { Address = backend } } }]);
        var app = builder.Build();
        var yarp = new PlainYarp(app);
        app.MapReverseProxy(proxy => proxy.Use(async (context, next) =>
        {
            try
            {
                await (around ?? ((_, forward) => forward()))(context, next);
            }
            finally
            {
                yarp.Errors.Add(context.Features.Get<IForwarderErrorFeature>()?.Error ?? ForwarderError.None);
            }
        }));
        await app.StartAsync();
        return yarp;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
