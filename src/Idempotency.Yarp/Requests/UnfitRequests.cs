using System.Diagnostics;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

/// <summary>What is decided of requests that cannot go the whole way, and why, in words for the client.</summary>
internal static class UnfitRequests
{
    public static Decision.Refuse DecideByLock(LockAttempt attempt) =>
        attempt.Defect is { } defect ? new(Problem.RequestInvalid, defect) : new(Problem.ResourceLocked, RetryAfter: attempt.RetryAfter);

    /// <returns>What becomes of a request that has no usable key, or about which something else cannot be trusted; null when it goes on.</returns>
    public static Decision? DecideByKey(HttpRequest request, IdempotencyPolicy policy, RequestKey key)
    {
        if (key.Parse == KeyParse.Invalid)
        {
            return new Decision.Refuse(Problem.KeyInvalid, key.Reason);
        }

        if (RequestChecks.FindDefect(request, policy) is { } defect)
        {
            return new Decision.Refuse(Problem.RequestInvalid, defect);
        }

        return key.Parse switch
        {
            KeyParse.Missing when policy.Key.Count == 0 || (policy.Mode == PolicyMode.Optional && policy.Lock is not null) => null, // no key, but a lock
            KeyParse.Missing when policy.Mode == PolicyMode.Optional => Decision.PassOn.Instance,
            KeyParse.Missing => new Decision.Refuse(Problem.KeyMissing, policy.IsDefaultKey ? null : $"Expected one of: {string.Join(", ", policy.Key)}."),
            _ => null,
        };
    }

    public static Decision.Refuse DecideByBody(BodyRead read, IdempotencyPolicy policy) => read switch
    {
        BodyRead.TooLarge => new(Problem.RequestTooLarge, $"The body is larger than {policy.MaxRequestBodyBytes} bytes (MaxRequestBodyBytes of the policy {policy.Name})."),
        BodyRead.NoRoom => new(Problem.RequestNotBuffered, RetryAfter: Refusals.SoonRetryAfter),
        BodyRead.Lost => new(Problem.RequestNotBuffered, RetryAfter: Refusals.SoonRetryAfter) { CannotBeForwarded = true },
        BodyRead.TimedOut => new(Problem.RequestTimeout) { CannotBeForwarded = true },
        BodyRead.Malformed => new(Problem.RequestInvalid, "The size of a chunk is not valid.") { CannotBeForwarded = true },
        _ => throw new UnreachableException(),
    };

    /// <summary>In words for the client; null where it is not known what differs.</summary>
    public static string? DetailOf(IReadOnlyList<string> differences) => differences.Count == 0
        ? null
        : $"The key belongs to another request. What differs: {string.Join(", ", differences)}. Use a fresh key for a new operation, or repeat the original request unchanged.";

    /// <summary>YARP would forward it as a GET. Offers of h2c, which curl makes, are not followed and harmless.</summary>
    public static bool IsUpgrade(HttpContext context) =>
        context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true }
        && !context.Request.Headers.Upgrade.ToString().StartsWith("h2c", StringComparison.OrdinalIgnoreCase);
}
