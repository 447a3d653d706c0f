using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Faults;

/// <summary>Deliberate defects of a gateway, each of one invariant: the checks that hold the product to it must notice them.</summary>
internal static class Defects
{
    /// <summary>Names of defects, separated by commas.</summary>
    public const string Variable = "GATEWAY_DEFECTS";

    /// <summary>Of a gateway that has them.</summary>
    public static Dictionary<string, string> Environment(string names) => new() { [StartupHook.Variable] = StartupHook.Path, [Variable] = names };

    public static void AddTo(IServiceCollection services)
    {
        foreach (var defect in (System.Environment.GetEnvironmentVariable(Variable) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            switch (defect)
            {
                // What a client below YARP sends again by itself is sent again.
                case "resend-cure-off":
                    services.AddSingleton<IForwarderHttpClientFactory, ResendingClientFactory>();
                    break;

                // Whose key it is makes no difference.
                case "scope-ignored":
                    services.AddSingleton<RecordIds, ScopelessRecordIds>();
                    break;

                // Nobody looks at claim and lock before the first byte.
                case "no-last-look":
                    services.AddSingleton<LeaseKeeper, CarelessLeaseKeeper>();
                    break;

                default:
                    var real = services.Last(service => service.ServiceType == typeof(IIdempotencyStore));
                    services.AddSingleton<IIdempotencyStore>(provider => BrokenStore.Create(
                        defect,
                        (IIdempotencyStore)(real.ImplementationFactory?.Invoke(provider) ?? ActivatorUtilities.CreateInstance(provider, real.ImplementationType!)),
                        provider.GetRequiredService<IConfiguration>()));
                    break;
            }
        }
    }

    private sealed class ScopelessRecordIds(IdempotencySettings settings, IIdempotencyStore store) : RecordIds(settings, store)
    {
        public override ValueTask<RecordId> CreateAsync(RequestValues values, IdempotencyPolicy policy, string key) => base.CreateAsync(values, policy with { Scope = [] }, key);
    }

    private sealed class CarelessLeaseKeeper(IIdempotencyStore store, TimeProvider time, ILogger<LeaseKeeper> logger) : LeaseKeeper(store, time, logger)
    {
        public override bool IsFresh(HeldClaim claim) => true;

        public override bool IsRunning(HeldClaim claim) => true;
    }

    private sealed class ResendingClientFactory() : BackendClientFactory(new ForwarderHttpClientFactory(), Encoding.Latin1, passesTraces: false)
    {
        protected override HttpMessageHandler WrapHandler(ForwarderHttpClientContext context, HttpMessageHandler handler) => base.WrapHandler(context, new Uncured(handler));
    }

    /// <summary>Takes back what keeps the client from sending again.</summary>
    private sealed class Uncured(HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Content = request.Content is ByteArrayContent ? null : request.Content;
            ((IDictionary<string, object?>)request.Options).Remove("gateway.send-once");
            return base.SendAsync(request, cancellationToken);
        }
    }
}
