using System.Diagnostics;
using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>ForwardRunner what was decided to be forwarded, and what every forward needs for that.</summary>
internal sealed record ForwardRunner(
    Settlement Settlement, LeaseKeeper Leases, Drain Drain, BufferBudget Budget, PatientWriter Writer, RouteTimes Times, RequestJournal Journal)
{
    public async Task RunAsync(HttpContext context, IdempotencyPolicy policy, Decision.Forward forward, RequestDelegate next)
    {
        try
        {
            if (forward.Claim is { } claim)
            {
                await using var claimed = new ClaimedForward(this, context, policy, claim, forward.Lock);
                await claimed.RunAsync(next);
            }
            else if (forward.Lock is { } held)
            {
                await LockedForward.RunAsync(this, context, policy, held, next);
            }
            else
            {
                throw new UnreachableException(); // nothing goes out that stands on nothing
            }
        }
        finally
        {
            if (forward.Claim is { IsEnded: false } left)
            {
                Leases.EndLater(left, ClaimEnd.MarkUncertain); // a claim must never be left to renewal for ever
            }

            await (forward.Lock?.EndAsync(isBackendDone: false) ?? default); // unless it has ended
        }
    }
}
