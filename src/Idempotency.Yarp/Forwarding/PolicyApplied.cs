using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Forwarding;

/// <summary>Stands on a request that came through the middleware, as a feature. What goes out on a route with a policy must have it.</summary>
internal sealed class PolicyApplied
{
    public static readonly PolicyApplied Mark = new();

    public static void To(HttpContext context, IdempotencyPolicy? policy)
    {
        if (policy is not null)
        {
            context.Features.Set(Mark);
        }
        else if (context.Features.Get<PolicyApplied>() is not null)
        {
            // Another pass of the same request, as for the page of an error: nothing of the first one is left.
            context.Features.Set<PolicyApplied>(null);
            context.Features.Set<ForwardTrace>(null);
        }
    }

    /// <exception cref="InvalidOperationException">The request did not come through the middleware: nothing is sent.</exception>
    public static void Require(HttpContext context)
    {
        if (context.Features.Get<PolicyApplied>() is null)
        {
            throw new InvalidOperationException(
                "A route with an idempotency policy was reached around the middleware: UseIdempotency has to stand in the only MapReverseProxy, and apply to every request. Nothing was sent.");
        }
    }
}
