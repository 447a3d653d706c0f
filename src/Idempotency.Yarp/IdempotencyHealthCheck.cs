using Idempotency.Storage;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Idempotency.Yarp;

/// <summary>Whether the store answers. While it does not, keyed requests are refused and all others still work.</summary>
internal sealed class IdempotencyHealthCheck(IIdempotencyStore store, LeaseKeeper leases) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await store.PingAsync(cancellationToken);
            return HealthCheckResult.Healthy(store.Description, new Dictionary<string, object> { ["openClaims"] = leases.Count });
        }
        catch (StoreUnavailableException e)
        {
            return new HealthCheckResult(context.Registration.FailureStatus, store.Description, e);
        }
    }
}
