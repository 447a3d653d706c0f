using System.Globalization;
using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What the backend is told of the key: the client's, one that is derived, or none, and the number of the attempt.</summary>
internal static class OutgoingHeaders
{
    private const string DefaultKeyField = "Idempotency-Key";

    public static void Set(HttpRequest request, IdempotencyPolicy policy, in ClaimRequest claim)
    {
        if (policy.ForwardKey != ForwardKey.AsIs)
        {
            foreach (var selector in policy.Key.Where(selector => selector.Kind == SelectorKind.Header))
            {
                request.Headers.Remove(selector.Name);
            }
        }

        if (policy.ForwardKey == ForwardKey.Derived)
        {
            var field = policy.Key.FirstOrDefault(selector => selector.Kind == SelectorKind.Header)?.Name ?? DefaultKeyField;
            request.Headers[field] = RecordIds.DeriveKey(claim.Id);
        }

        if (claim.Attempt > 1)
        {
            request.Headers[GatewayHeaders.Attempt] = claim.Attempt.ToString(CultureInfo.InvariantCulture);
        }
    }
}
