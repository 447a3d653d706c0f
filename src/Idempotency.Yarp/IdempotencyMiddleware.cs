using System.Diagnostics;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Makes a route idempotent. The numbers of the steps are those of ARCHITECTURE.md; YARP has found the route before (step 1), and
/// <see cref="ClaimedForward"/>, or <see cref="LockedForward"/> where there is no key, does the rest (steps 9 to 12).
/// </summary>
internal sealed class IdempotencyMiddleware(
    RequestDelegate next,
    PolicyBook policies,
    CrossOrigin origins,
    GuardedPaths paths,
    Decider decider,
    Observation observation,
    Replays replays,
    Refusals refusals,
    ForwardRunner forwards)
{
    // 2. Gate.
    public Task InvokeAsync(HttpContext context)
    {
        var policy = policies.PolicyOf(context.GetReverseProxyFeature().Route.Config);
        PolicyApplied.To(context, policy);
        origins.Follow(context);
        if (policy is not null && policy.Covers(context.Request.Method))
        {
            return GuardAsync(context, policy);
        }

        var defect = paths.FindDefect(context, policy: null) ?? (policy is null ? null : RequestChecks.FindOverride(context.Request));
        return defect is null ? next(context) : refusals.AnswerAsync(context, policy, new Decision.Refuse(Problem.RequestInvalid, defect));
    }

    private async Task GuardAsync(HttpContext context, IdempotencyPolicy policy)
    {
        GatewayHeaders.RemoveFrom(context.Request.Headers);
        await using var request = new CoveredRequest(context, policy);

        // 3 to 7.
        var decision = await decider.DecideAsync(request);
        if (policy.Mode == PolicyMode.Observe)
        {
            decision = observation.Annotate(context, policy, decision);
        }

        // 8.
        switch (decision)
        {
            case Decision.PassOn:
                await next(context);
                break;
            case Decision.Bypass:
                observation.Bypass(context, policy);
                await next(context);
                break;
            case Decision.Refuse refusal:
                await refusals.AnswerAsync(context, policy, refusal);
                break;
            case Decision.Replay replay:
                await replays.AnswerAsync(context, policy, replay);
                break;
            case Decision.Forward forward:
                await forwards.RunAsync(context, policy, forward, next);
                break;
            default:
                throw new UnreachableException();
        }
    }
}
