using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Makes routes of a YARP host idempotent, by one line of their metadata: <c>"Metadata": { "Idempotency": "default" }</c>.</summary>
public static class IdempotencyExtensions
{
    /// <summary>
    /// Adds the policies and what applies them. Call it after the host's own client factory (or <c>ConfigureHttpClient</c>), which it wraps; then add a
    /// store (<c>UseSqlite</c>, <c>UseRedis</c>, <c>UsePostgres</c>), and <see cref="UseIdempotency"/> to YARP's pipeline.
    /// </summary>
    /// <param name="builder">Of <c>AddReverseProxy</c>.</param>
    /// <param name="configuration">
    /// The section of policies, usually <c>Idempotency</c>: <c>Policies</c>, <c>Secret</c>, <c>Encryption</c>, <c>NearCopy</c>, and <c>Limits</c>, as
    /// docs/configuration.md describes them. Read once, when the host starts, which it does not when anything in it is wrong
    /// (<see cref="Microsoft.Extensions.Options.OptionsValidationException"/>, with all mistakes).
    /// </param>
    /// <returns>For the store.</returns>
    /// <exception cref="InvalidOperationException">It was called before.</exception>
    public static IdempotencyBuilder AddIdempotency(this IReverseProxyBuilder builder, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(configuration);
        var path = (configuration as IConfigurationSection)?.Path ?? "";
        return IdempotencyServices.Add(
            builder,
            provider => IdempotencyServices.Read(
                configuration, path, (provider.GetService<StoreSettings>() ?? new()).Timeout, provider.GetRequiredService<ILoggerFactory>().CreateLogger("Idempotency.Yarp")),
            fieldEncoding: null,
            passesTraces: false,
            warnsOfRoutes: true);
    }

    /// <summary>
    /// Claims, records and replays, in YARP's pipeline: first, before <c>UseSessionAffinity</c> and <c>UseLoadBalancing</c>, for which a replay must
    /// not count.
    /// </summary>
    /// <param name="proxy">Of <c>MapReverseProxy</c>.</param>
    /// <exception cref="InvalidOperationException">There is no <see cref="AddIdempotency"/>, no store, or a client factory that nobody wrapped; the message says what to do.</exception>
    public static IReverseProxyApplicationBuilder UseIdempotency(this IReverseProxyApplicationBuilder proxy)
    {
        ArgumentNullException.ThrowIfNull(proxy);
        var placement = proxy.ApplicationServices.GetService<Placement>()
            ?? throw new InvalidOperationException("UseIdempotency needs services.AddReverseProxy().AddIdempotency(configuration), and a store.");
        placement.Use();
        proxy.UseMiddleware<IdempotencyMiddleware>();
        return proxy;
    }

    /// <summary>
    /// Adds a check of the store, for readiness: while the store does not answer, keyed requests are refused with 503, and all others still work.
    /// </summary>
    /// <param name="builder">Of <c>AddHealthChecks</c>.</param>
    /// <param name="name">Of the check.</param>
    /// <param name="failureStatus">What a store that does not answer means; <see cref="HealthStatus.Unhealthy"/> when null.</param>
    /// <param name="tags">By which the host selects checks.</param>
    public static IHealthChecksBuilder AddIdempotencyStore(
        this IHealthChecksBuilder builder, string name = "idempotency-store", HealthStatus? failureStatus = null, IEnumerable<string>? tags = null) =>
        builder.AddCheck<IdempotencyHealthCheck>(name, failureStatus, tags ?? []);

    /// <summary>
    /// Publishes the guarded routes, their policies and all problem types at <c>/.well-known/idempotency</c>, as HTML or JSON
    /// (draft-ietf-httpapi-idempotency-key-header-07, section 2.5.2).
    /// </summary>
    /// <param name="endpoints">The host's.</param>
    public static IEndpointConventionBuilder MapIdempotencySpecification(this IEndpointRouteBuilder endpoints) =>
        endpoints.MapGet(WellKnownPage.Path, static (HttpRequest request) =>
        {
            var services = request.HttpContext.RequestServices;
            return WellKnownPage.Get(request, services.GetRequiredService<ProxyRoutes>().Current.Routes, services.GetRequiredService<PolicyBook>());
        });
}
