using System.Diagnostics;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>Steps 3 to 7 of a covered request: reads it, claims its key, takes its lock, and says what becomes of it. It answers nobody.</summary>
internal sealed class Decider(
    RequestBodyReader bodies, GuardedPaths paths, RecordIds recordIds, KeyClaimer keys, ResourceLocks locks, AnswerRecords records, ScopeWatch scopes, Drain drain, TimeProvider time)
{
    public async Task<Decision> DecideAsync(CoveredRequest request)
    {
        var (context, policy, values) = (request.Context, request.Policy, request.Values);

        // 3. Key; one that stands in the body is read after that.
        var key = policy.KeyIsInBody ? default : RequestKey.Read(values, policy);
        if (!policy.KeyIsInBody && UnfitRequests.DecideByKey(context.Request, policy, key) is { } early)
        {
            return early;
        }

        if (UnfitRequests.IsUpgrade(context))
        {
            return new Decision.Refuse(Problem.UpgradeNotSupported);
        }

        if (paths.FindDefect(context, policy) is { } ambiguous)
        {
            return new Decision.Refuse(Problem.RequestInvalid, ambiguous);
        }

        // 4. Body: all of it, before anything is claimed.
        (var read, request.Body) = await bodies.ReadAsync(context, policy);
        if (read != BodyRead.Ok)
        {
            return UnfitRequests.DecideByBody(read, policy);
        }

        values.Content = policy.ParsesBody ? await RequestContent.ParseAsync(context.Request.ContentType, request.Body!.Bytes) : null;
        if (policy.KeyIsInBody)
        {
            key = RequestKey.Read(values, policy);
            if (UnfitRequests.DecideByKey(context.Request, policy, key) is { } late)
            {
                return late;
            }
        }

        if (drain.HasBegun)
        {
            return new Decision.Refuse(Problem.ShuttingDown, RetryAfter: Refusals.DrainRetryAfter);
        }

        try
        {
            return await (key.Parse == KeyParse.Missing ? AdmitAsync(request, policy.Lock, claim: null) : ClaimAsync(request, key.Value));
        }
        catch (StoreUnavailableException)
        {
            return policy.StoreDown == StoreDown.Bypass ? Decision.Bypass.Instance : new Decision.Refuse(Problem.StoreUnavailable, RetryAfter: Refusals.SoonRetryAfter);
        }
    }

    /// <exception cref="StoreUnavailableException">Nothing is held.</exception>
    private async Task<Decision> ClaimAsync(CoveredRequest request, string key)
    {
        var (context, policy, values) = (request.Context, request.Policy, request.Values);

        // 5. Identity: scope and key make the record's id, and the fingerprint says what the key is used for.
        scopes.Look(context, policy);
        var id = await recordIds.CreateAsync(values, policy, key);
        if (values.Defect is { } defect)
        {
            return new Decision.Refuse(Problem.RequestInvalid, defect);
        }

        var question = policy.Probe is null ? null : ProbeQuestion.TryCreate(policy, ProbeOrigin.Of(context), id, key, values);
        var secret = await recordIds.GetSecretAsync();
        var fingerprint = await RequestFingerprint.CreateAsync(context, policy, request.Body!, values.Content, question, id, secret);
        var claim = new ClaimRequest(id, ClaimToken.Create(), fingerprint.Value, policy.Lease, policy.Retention)
        {
            Probe = question is null ? default : question.Seal(secret, id),
        };

        // 6. Claim; the fingerprint is compared before the state.
        TestHooks.CrashPoint("P0");
        var terms = ClaimTerms.Of(context.Request.Headers, policy);
        var found = await keys.ClaimAsync(policy, claim, fingerprint, question, terms, context.RequestAborted);
        var result = found.Result;
        if (!RequestFingerprint.Knows(result.Fingerprint.Version))
        {
            return new Decision.Refuse(Problem.StoreUnavailable, "The key was recorded by a newer release of the gateway. Nothing was forwarded.", Refusals.SoonRetryAfter, id);
        }

        if (!await fingerprint.IsSameAsync(result.Fingerprint))
        {
            return new Decision.Refuse(Problem.KeyReused, UnfitRequests.DetailOf(fingerprint.DifferencesFrom(result.Fingerprint)), Record: id);
        }

        switch (result.State)
        {
            case ClaimState.Claimed when KeyExpiry.IsExpired(policy, key, context.Request.Headers, time.GetUtcNow()):
                // Nothing is on record of a key that is older than records live: nobody knows whether it was used.
                await keys.ReleaseAsync(keys.Hold(found));
                return new Decision.Refuse(Problem.KeyExpired, Record: id);
            case ClaimState.Claimed:
                return await AdmitAsync(request, terms.Lock, keys.Hold(found));
            case ClaimState.Settled:
                return records.Read(policy, found);
            case ClaimState.InProgress:
                return new Decision.Refuse(Problem.InProgress, RetryAfter: result.Remaining, Record: id);
            case ClaimState.Uncertain:
                return new Decision.Refuse(Problem.OutcomeUncertain, Record: id);
            default:
                throw new UnreachableException();
        }
    }

    /// <exception cref="StoreUnavailableException">Nothing is held.</exception>
    private async Task<Decision> AdmitAsync(CoveredRequest request, LockPolicy? wanted, HeldClaim? claim)
    {
        var (policy, isKept) = (request.Policy, false);
        try
        {
            // 7. Lock.
            LockAttempt attempt = default;
            if (wanted is not null)
            {
                attempt = await locks.AcquireAsync(request.Values, policy, wanted, request.Context.RequestAborted);
                if (attempt.Held is null)
                {
                    var refusal = UnfitRequests.DecideByLock(attempt);
                    return claim is null ? refusal : (refusal with { Record = claim.Request.Id }).GivenKey(await keys.ReleaseAsync(claim), policy);
                }
            }

            // Waiting for the key or the lock took time: the process may be ending. Whether claim and lock still stand is looked at when the request is about to go out.
            if (drain.HasBegun)
            {
                await (attempt.Held?.EndAsync(isBackendDone: true) ?? default); // nothing was sent
                await (claim is null ? default : keys.ReleaseAsync(claim));
                return new Decision.Refuse(Problem.ShuttingDown, RetryAfter: Refusals.DrainRetryAfter, Record: claim?.Request.Id);
            }

            isKept = true;
            return new Decision.Forward(claim, attempt.Held);
        }
        finally
        {
            if (!isKept && claim is { IsEnded: false })
            {
                await keys.ReleaseAsync(claim); // nothing was sent
            }
        }
    }
}
