using Gateway.Configuration;
using Gateway.Forwarding;
using Gateway.Telemetry;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;

namespace Gateway;

/// <summary>Builds the web application: services, then the pipeline in order.</summary>
internal static class GatewayApplication
{
    public static WebApplication Build(string file, GatewaySettings settings, string urls)
    {
        var builder = WebApplication.CreateEmptyBuilder(new() { ApplicationName = "Gateway" });
        if (SettingsLoader.TryReadFile(file, new ConfigurationErrors()) is { } configuration)
        {
            builder.Configuration.AddConfiguration(configuration);
        }

        builder.AddServer(urls, settings);
        builder.AddGateway(file, settings);

        var app = builder.Build();
        app.Services.StartTelemetryExport();
        app.UseMiddleware<RequestChecksMiddleware>();
        if (settings.ForwardedHeaders is { TrustedNetworks: { Count: > 0 } networks } forwarded)
        {
            var proxies = new TrustedProxies(networks, forwarded.Hops);
            app.Use((context, next) =>
            {
                proxies.Look(context);
                return next(context);
            });
        }

        app.UseAuthentication();
        app.UseAuthorization();
        app.MapIdempotencySpecification();
        app.MapReverseProxy(proxy =>
            {
                proxy.UseIdempotency();
                proxy.UseSessionAffinity();
                proxy.UseLoadBalancing();
                proxy.UsePassiveHealthChecks();
            });
        return app;
    }
}
