using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>A policy that observes changes no answer: it tells what would have happened beside the backend's own, and the request is forwarded if it still can be.</summary>
internal sealed class Observation(RequestJournal journal)
{
    /// <returns>What happens in the decision's place.</returns>
    public Decision Annotate(HttpContext context, IdempotencyPolicy policy, Decision decision)
    {
        var would = decision switch
        {
            Decision.Forward => "forwarded",
            Decision.Replay => "replayed", // whether a body that is kept apart is still there is not looked at
            Decision.Refuse { CannotBeForwarded: false } refusal => refusal.Problem.Slug,
            _ => null,
        };
        if (would is null)
        {
            return decision;
        }

        journal.Observed(policy, would);
        Tell(context, $"{IdempotencyStatus.Bypassed}; would={would}");
        return decision is Decision.Forward ? decision : Decision.PassOn.Instance;
    }

    /// <summary>The store is down, and the request goes on unprotected.</summary>
    public void Bypass(HttpContext context, IdempotencyPolicy policy)
    {
        journal.Bypassed(policy);
        Tell(context, IdempotencyStatus.Bypassed);
    }

    private static void Tell(HttpContext context, string status)
    {
        context.Response.Headers[GatewayHeaders.Status] = status;
        context.Features.Set(new ForwardTrace()); // so that the backend's own word on it is removed
    }
}
