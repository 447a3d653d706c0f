using System.Diagnostics;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

/// <summary>
/// Makes a route idempotent. A request's way through:
/// <list type="number">
/// <item>Gate: no policy on the route, or method not covered: on, at no cost.</item>
/// <item>Read the key.</item>
/// <item>Read the whole body, bounded. Nothing is claimed before.</item>
/// <item>Scope and fingerprint make the record id.</item>
/// <item>Claim: one atomic round trip that claims or tells what is there.</item>
/// <item>Claimed: lock what the policy locks; <see cref="ClaimedRequest"/> forwards, settles and answers. Else answer from the record.</item>
/// </list>
/// </summary>
internal sealed class IdempotencyMiddleware(
    RequestDelegate next,
    PolicyBook policies,
    RequestBodyReader bodies,
    RecordIds recordIds,
    KeyClaims claims,
    ResourceLocks locks,
    ClaimedRequest claimedRequest,
    LockedRequest lockedRequest,
    ScopeWatch scopes,
    CrossOrigin origins,
    GuardedPaths paths,
    Refusals refusals)
{
    // 1. Gate.
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
        return defect is null ? next(context) : refusals.RefuseUncoveredAsync(context, policy, defect);
    }

    private async Task GuardAsync(HttpContext context, IdempotencyPolicy policy)
    {
        RemoveForgedFields(context.Request.Headers);

        // 2. Key; one that stands in the body is read after that.
        var values = new RequestValues(context);
        var key = policy.KeyIsInBody ? default : RequestKey.Read(values, policy);
        if (!policy.KeyIsInBody && await IsEndedByKeyAsync(context, policy, key))
        {
            return;
        }

        if (IsUpgrade(context))
        {
            await RefuseAsync(context, policy, Problem.UpgradeNotSupported);
            return;
        }

        if (paths.FindDefect(context, policy) is { } ambiguous)
        {
            await RefuseAsync(context, policy, Problem.RequestInvalid, ambiguous);
            return;
        }

        // 3. Body.
        var (read, buffered) = await bodies.ReadAsync(context, policy);
        await using var body = buffered;
        if (read != BodyRead.Ok || body is null)
        {
            await refusals.RefuseBodyAsync(context, policy, read, next);
            return;
        }

        using var content = policy.ParsesBody ? await RequestContent.ParseAsync(context.Request.ContentType, body.Bytes) : null;
        values.Content = content;
        if (policy.KeyIsInBody)
        {
            key = RequestKey.Read(values, policy);
            if (await IsEndedByKeyAsync(context, policy, key))
            {
                return;
            }
        }

        if (claimedRequest.IsDraining)
        {
            await RefuseAsync(context, policy, Problem.ShuttingDown, retryAfter: Refusals.DrainRetryAfter);
            return;
        }

        try
        {
            await (key.Parse == KeyParse.Missing ? LockAndForwardAsync(context, policy, values) : ClaimAndForwardAsync(context, policy, values, key.Value, body));
        }
        catch (StoreUnavailableException) when (policy.StoreDown == StoreDown.Bypass)
        {
            await refusals.BypassAsync(context, policy, next);
        }
        catch (StoreUnavailableException)
        {
            await RefuseAsync(context, policy, Problem.StoreUnavailable, retryAfter: Refusals.StoreRetryAfter);
        }
    }

    /// <exception cref="StoreUnavailableException">Nothing was forwarded.</exception>
    private async Task ClaimAndForwardAsync(HttpContext context, IdempotencyPolicy policy, RequestValues values, string key, RequestBody body)
    {
        // 4. Scope and fingerprint.
        scopes.Look(context, policy);
        var id = await recordIds.CreateAsync(values, policy, key);
        if (values.Defect is { } defect)
        {
            await RefuseAsync(context, policy, Problem.RequestInvalid, defect);
            return;
        }

        var question = policy.Probe is null ? null : ProbeQuestion.TryCreate(policy, ProbeOrigin.Of(context), id, key, values);
        var secret = await recordIds.GetSecretAsync();
        var fingerprint = await RequestFingerprint.CreateAsync(context, policy, body, values.Content, question, id, secret);
        var request = new ClaimRequest(id, ClaimToken.Create(), fingerprint.Value, policy.Lease, policy.Retention)
        {
            Probe = question is null ? default : question.Seal(secret, id),
        };

        // 5. Claim.
        TestHooks.CrashPoint("P0");
        var claim = await claims.ClaimAsync(policy, request, fingerprint, question, WaitPreference.Of(context.Request.Headers, policy), context.RequestAborted);

        // 6. Answer by what was found; the fingerprint comes before the state.
        var found = claim.Found;
        if (!RequestFingerprint.Knows(found.Fingerprint.Version))
        {
            await RefuseAsync(context, policy, Problem.StoreUnavailable, "The key was recorded by a newer release of the gateway. Nothing was forwarded.", Refusals.StoreRetryAfter, id);
            return;
        }

        if (!await fingerprint.IsSameAsync(found.Fingerprint))
        {
            await RefuseAsync(context, policy, Problem.KeyReused, Refusals.OtherRequest(fingerprint.DifferencesFrom(found.Fingerprint)), record: id);
            return;
        }

        switch (found.State)
        {
            case ClaimState.Claimed when refusals.IsExpired(context, policy, key):
                // Nothing is on record of a key that is older than records live: nobody knows whether it was used.
                await claims.ReleaseAsync(claims.Hold(claim));
                await RefuseAsync(context, policy, Problem.KeyExpired, record: id);
                break;
            case ClaimState.Claimed:
                await ForwardAsync(context, policy, values, claim);
                break;
            case ClaimState.Settled:
                await refusals.AnswerSettledAsync(context, policy, claim, next);
                break;
            case ClaimState.InProgress:
                await RefuseAsync(context, policy, Problem.InProgress, retryAfter: found.Remaining, record: id);
                break;
            case ClaimState.Uncertain:
                await RefuseAsync(context, policy, Problem.OutcomeUncertain, record: id);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private async Task ForwardAsync(HttpContext context, IdempotencyPolicy policy, RequestValues values, KeyClaim owned)
    {
        var claim = claims.Hold(owned);
        LockAttempt attempt = default;
        var isForwarded = false;
        try
        {
            if (policy.Lock is { } wanted && policy.Mode != PolicyMode.Observe)
            {
                attempt = await locks.AcquireAsync(values, policy, wanted, context.RequestAborted);
                if (attempt.Held is null)
                {
                    var refusal = RefusalOf(attempt).For(await claims.ReleaseAsync(claim), policy);
                    await RefuseAsync(context, policy, refusal.Problem, refusal.Detail, refusal.RetryAfter, claim.Request.Id);
                    return;
                }
            }

            // Waiting for the key or the lock took time: the process may be ending. Whether claim and lock still stand is looked at when the request is about to go out.
            if (claimedRequest.IsDraining)
            {
                await (attempt.Held?.EndAsync(isBackendDone: true) ?? default); // nothing was sent
                await RefuseAsync(context, policy, Problem.ShuttingDown, retryAfter: Refusals.DrainRetryAfter, record: claim.Request.Id);
                return;
            }

            isForwarded = true;
        }
        finally
        {
            if (!isForwarded && !claim.IsEnded)
            {
                await claims.ReleaseAsync(claim); // nothing was sent
            }
        }

        if (policy.Mode == PolicyMode.Observe)
        {
            refusals.Observed(context, policy, "forwarded");
        }
        else
        {
            OutgoingFields.Set(context.Request, policy, claim.Request);
        }

        try
        {
            await claimedRequest.ForwardAsync(context, policy, claim, attempt.Held, next);
        }
        finally
        {
            await (attempt.Held?.EndAsync(isBackendDone: false) ?? default); // unless it has ended
        }
    }

    /// <exception cref="StoreUnavailableException">Nothing was forwarded.</exception>
    private async Task LockAndForwardAsync(HttpContext context, IdempotencyPolicy policy, RequestValues values)
    {
        var attempt = await locks.AcquireAsync(values, policy, policy.Lock!, context.RequestAborted);
        if (attempt.Held is not null && claimedRequest.IsDraining)
        {
            await attempt.Held.EndAsync(isBackendDone: true); // nothing was sent
            await RefuseAsync(context, policy, Problem.ShuttingDown, retryAfter: Refusals.DrainRetryAfter);
            return;
        }

        if (attempt.Held is { } held)
        {
            await lockedRequest.ForwardAsync(context, policy, held, next);
            return;
        }

        var refusal = RefusalOf(attempt);
        await RefuseAsync(context, policy, refusal.Problem, refusal.Detail, refusal.RetryAfter);
    }

    private static Refusal RefusalOf(LockAttempt attempt) =>
        attempt.Defect is { } defect ? new(Problem.RequestInvalid, Detail: defect) : new(Problem.ResourceLocked, attempt.RetryAfter);

    /// <summary>Whether the request ends here, because it has no usable key, or something else about it cannot be trusted.</summary>
    private async Task<bool> IsEndedByKeyAsync(HttpContext context, IdempotencyPolicy policy, RequestKey key)
    {
        if (key.Parse == KeyParse.Invalid)
        {
            await RefuseAsync(context, policy, Problem.KeyInvalid, key.Reason);
            return true;
        }

        if (RequestChecks.FindDefect(context.Request, policy) is { } defect)
        {
            await RefuseAsync(context, policy, Problem.RequestInvalid, defect);
            return true;
        }

        switch (key.Parse)
        {
            case KeyParse.Missing when policy.Key.Count == 0 || (policy.Mode == PolicyMode.Optional && policy.Lock is not null):
                return false; // no key, but a lock
            case KeyParse.Missing when policy.Mode == PolicyMode.Optional:
                await next(context);
                return true;
            case KeyParse.Missing:
                await RefuseAsync(context, policy, Problem.KeyMissing, policy.IsDefaultKey ? null : $"Expected one of: {string.Join(", ", policy.Key)}.");
                return true;
            default:
                return false;
        }
    }

    private Task RefuseAsync(
        HttpContext context, IdempotencyPolicy policy, Problem problem, string? detail = null, TimeSpan? retryAfter = null, RecordId? record = null) =>
        refusals.RefuseAsync(context, policy, problem, next, detail, retryAfter, record);

    private static void RemoveForgedFields(IHeaderDictionary headers)
    {
        headers.Remove(GatewayHeaders.Replayed);
        headers.Remove(GatewayHeaders.Status);
        headers.Remove(GatewayHeaders.Attempt);
    }

    /// <summary>YARP would forward it as a GET. Offers of h2c, which curl makes, are not followed and harmless.</summary>
    private static bool IsUpgrade(HttpContext context) =>
        context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true }
        && !context.Request.Headers.Upgrade.ToString().StartsWith("h2c", StringComparison.OrdinalIgnoreCase);
}
