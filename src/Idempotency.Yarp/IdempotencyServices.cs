using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Yarp.ReverseProxy.Forwarder;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Idempotency.Yarp;

/// <summary>Everything but the store, the policies and the time at which YARP is given its routes.</summary>
internal static class IdempotencyServices
{
    /// <param name="proxy">YARP, with the client factory that the host wants.</param>
    /// <param name="settings">Read once, when they are first asked for, which is before the host starts.</param>
    /// <param name="fieldEncoding">Of header fields to the backend for which no encoding is configured; null for .NET's own, which is ASCII.</param>
    /// <param name="passesTraces">Trace context goes to backends as <see cref="SpanPropagator"/> says; else as the host has set it.</param>
    /// <param name="warnsOfRoutes">Nobody else has looked at the routes before.</param>
    /// <returns>For the store.</returns>
    /// <exception cref="InvalidOperationException">It was called before, or the host's client factory cannot be wrapped.</exception>
    public static IdempotencyBuilder Add(IReverseProxyBuilder proxy, Func<IServiceProvider, IdempotencySettings> settings, Encoding? fieldEncoding, bool passesTraces, bool warnsOfRoutes)
    {
        var services = proxy.Services;
        if (services.Any(service => service.ServiceType == typeof(Placement)))
        {
            throw new InvalidOperationException("AddIdempotency was called before: one set of policies serves all routes.");
        }

        services.TryAddSingleton(TimeProvider.System);
        services.AddMetrics();
        services.AddSingleton<Placement>();
        services.AddSingleton(settings);
        services.AddSingleton(provider => provider.GetRequiredService<IdempotencySettings>().Limits);
        services.AddSingleton(provider => new PolicyBook(provider.GetRequiredService<IdempotencySettings>().Policies));
        services.AddSingleton<ProxyRoutes>();
        services.AddSingleton<LeaseKeeper>();
        services.AddHostedService(provider => provider.GetRequiredService<LeaseKeeper>());
        services.AddHostedService<StoreStart>();
        services.AddSingleton<IdempotencyMetrics>();
        services.AddSingleton<RequestJournal>();
        services.AddSingleton<ScopeWatch>();
        services.AddSingleton<CrossOrigin>();
        services.AddSingleton<GuardedPaths>();
        services.AddSingleton<RecordIds>();
        services.AddSingleton<Drain>();
        services.AddSingleton<BufferBudget>();
        services.AddSingleton<PatientWriter>();
        services.AddSingleton<RequestBodyReader>();
        services.AddSingleton<RecordSeal>();
        services.AddSingleton<BodySeal>();
        services.AddSingleton<AnswersApart>();
        services.AddSingleton<AnswerRecords>();
        services.AddSingleton<NearCopies>();
        services.AddSingleton<RecordWaits>();
        services.AddSingleton<BackendProbe>();
        services.AddSingleton<Recovery>();
        services.AddHostedService<UncertainSweeper>();
        services.AddHostedService<UncertainWatch>();
        services.AddSingleton<KeyClaimer>();
        services.AddSingleton<RouteTimes>();
        services.AddSingleton<LockLines>();
        services.AddSingleton<ResourceLocks>();
        services.AddSingleton<Settlement>();
        services.AddSingleton<Decider>();
        services.AddSingleton<Observation>();
        services.AddSingleton<Refusals>();
        services.AddSingleton<Replays>();
        services.AddSingleton<ForwardRunner>();

        var host = services.Last(service => service.ServiceType == typeof(IForwarderHttpClientFactory));
        services.AddSingleton<IForwarderHttpClientFactory>(provider => new BackendClientFactory(HostsFactory(provider, host), fieldEncoding, passesTraces));
        var forwarder = services.Last(service => service.ServiceType == typeof(IHttpForwarder));
        services.AddSingleton<IHttpForwarder>(provider => new WatchedForwarder((IHttpForwarder)Make(provider, forwarder)));
        services.AddSingleton<ITransformProvider>(provider => new PolicyTransforms(
            provider.GetRequiredService<PolicyBook>(), provider.GetRequiredService<Placement>(), warnsOfRoutes ? provider.GetRequiredService<ILogger<PolicyTransforms>>() : null));
        return new IdempotencyBuilder(services);
    }

    /// <exception cref="OptionsValidationException">The settings have mistakes; all of them are listed.</exception>
    public static IdempotencySettings Read(IConfiguration configuration, string path, TimeSpan storeTimeout, ILogger logger)
    {
        var errors = new ConfigurationErrors();
        var reader = new SettingsReader(configuration, path, errors);
        var limits = reader.Section("Limits");
        var settings = IdempotencyReader.Read(reader);
        settings = settings with { Limits = IdempotencyReader.ReadLimits(limits, settings.Policies) };
        IdempotencyReader.CheckLeases(path, settings.Policies, storeTimeout, errors);
        if (errors.Errors.Count > 0)
        {
            throw new OptionsValidationException(path, typeof(IdempotencySettings), errors.Errors);
        }

        SettingsLog.Doubtful(logger, errors.Warnings);
        return settings;
    }

    /// <exception cref="InvalidOperationException">It is none of YARP's kind, so that its handler cannot be configured.</exception>
    private static ForwarderHttpClientFactory HostsFactory(IServiceProvider provider, ServiceDescriptor host)
    {
        var factory = Make(provider, host);
        return factory as ForwarderHttpClientFactory ?? throw new InvalidOperationException(
            $"{factory.GetType()} cannot be used with idempotency, which has to see what the HTTP client sends: derive it from {typeof(ForwarderHttpClientFactory)}.");
    }

    /// <summary>What the host would have without us.</summary>
    private static object Make(IServiceProvider provider, ServiceDescriptor service) =>
        service.ImplementationInstance ?? service.ImplementationFactory?.Invoke(provider) ?? ActivatorUtilities.CreateInstance(provider, service.ImplementationType!);
}
