using System.Diagnostics;
using Gateway.Forwarding;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.Idempotency;

/// <summary>
/// Makes a route idempotent. A request's way through:
/// <list type="number">
/// <item>Gate: no policy on the route, or method not covered: on, at no cost.</item>
/// <item>Read the key.</item>
/// <item>Read the whole body, bounded. Nothing is claimed before.</item>
/// <item>Scope and fingerprint make the record id.</item>
/// <item>Claim: one atomic round trip that claims or tells what is there.</item>
/// <item>Claimed: <see cref="ClaimedRequest"/> forwards, settles and answers. Else answer from the record.</item>
/// </list>
/// </summary>
internal sealed class IdempotencyMiddleware(
    RequestDelegate next,
    IIdempotencyStore store,
    RequestBodyReader bodies,
    RecordIds recordIds,
    ClaimedRequest claimedRequest,
    BufferBudget budget,
    RequestJournal journal)
{
    /// <summary>When to ask again after the store failed: about as long as it takes to reconnect.</summary>
    private static readonly TimeSpan StoreRetryAfter = TimeSpan.FromSeconds(2);

    /// <summary>Another instance can take the request at once.</summary>
    private static readonly TimeSpan DrainRetryAfter = TimeSpan.FromSeconds(1);

    // 1. Gate.
    public Task InvokeAsync(HttpContext context)
    {
        var policy = context.GetEndpoint()?.Metadata.GetMetadata<IdempotencyPolicy>();
        return policy is null || !policy.Covers(context.Request.Method) ? next(context) : GuardAsync(context, policy);
    }

    private async Task GuardAsync(HttpContext context, IdempotencyPolicy policy)
    {
        RemoveForgedFields(context.Request.Headers);

        // 2. Key.
        var parse = IdempotencyKey.Parse(context.Request.Headers[policy.Key[0].Name], out var key, out var reason);
        if (parse == KeyParse.Invalid)
        {
            await RefuseAsync(context, policy, Problem.KeyInvalid, reason);
            return;
        }

        if (RequestChecks.FindDefect(context.Request, policy) is { } defect)
        {
            await RefuseAsync(context, policy, Problem.RequestInvalid, defect);
            return;
        }

        if (parse == KeyParse.Missing)
        {
            await (policy.Mode == PolicyMode.Optional ? next(context) : RefuseAsync(context, policy, Problem.KeyMissing));
            return;
        }

        if (IsUpgrade(context))
        {
            await RefuseAsync(context, policy, Problem.UpgradeNotSupported);
            return;
        }

        // 3. Body.
        var (read, buffered) = await bodies.ReadAsync(context, policy);
        await using var body = buffered;
        if (body is null)
        {
            await RefuseBodyAsync(context, policy, read);
            return;
        }

        if (claimedRequest.IsDraining)
        {
            await RefuseAsync(context, policy, Problem.ShuttingDown, retryAfter: DrainRetryAfter);
            return;
        }

        // 4. Scope and fingerprint; 5. claim.
        var fingerprint = RequestFingerprint.Compute(context, policy, body.Digest);
        ClaimRequest claim;
        ClaimResult found;
        long askedAt;
        try
        {
            var id = await recordIds.CreateAsync(context.Request, policy, key);
            claim = new ClaimRequest(id, ClaimToken.Create(), fingerprint, policy.Lease, policy.Retention);
            askedAt = claimedRequest.Now;
            TestHooks.CrashPoint("P0");
            found = await ClaimAsync(claim, askedAt);
        }
        catch (StoreUnavailableException) when (policy.StoreDown == StoreDown.Bypass)
        {
            journal.Bypassed(policy);
            context.Response.Headers[GatewayHeaders.Status] = IdempotencyStatus.Bypassed;
            context.Features.Set(new ForwardTrace()); // so that the backend's own word on it is removed
            await next(context);
            return;
        }
        catch (StoreUnavailableException)
        {
            await RefuseAsync(context, policy, Problem.StoreUnavailable, retryAfter: StoreRetryAfter);
            return;
        }

        // 6. Answer by what was found; the fingerprint comes before the state.
        if (found.Fingerprint != fingerprint)
        {
            await RefuseAsync(context, policy, Problem.KeyReused, record: claim.Id);
            return;
        }

        switch (found.State)
        {
            case ClaimState.Claimed:
                await claimedRequest.ForwardAsync(context, policy, claim, askedAt, next);
                break;
            case ClaimState.Settled:
                await AnswerSettledAsync(context, policy, claim.Id, found.Answer);
                break;
            case ClaimState.InProgress:
                await RefuseAsync(context, policy, Problem.InProgress, retryAfter: found.Remaining, record: claim.Id);
                break;
            case ClaimState.Uncertain:
                await RefuseAsync(context, policy, Problem.OutcomeUncertain, record: claim.Id);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, long askedAt)
    {
        try
        {
            // Not the client's token: a claim that was sent is followed to its end, whether the client waits or not.
            var sent = store.ClaimAsync(claim, CancellationToken.None);
            TestHooks.CrashPoint("P1");
            return await sent;
        }
        catch (StoreUnavailableException e) when (e.MayHaveTakenEffect)
        {
            // The claim may stand, and nothing was sent: it must not block its key.
            claimedRequest.ReleaseLater(claim, askedAt);
            throw;
        }
    }

    private async Task AnswerSettledAsync(HttpContext context, IdempotencyPolicy policy, RecordId id, ReadOnlyMemory<byte> answer)
    {
        var parse = RecordFormat.TryRead(id, answer, out var stored);
        if (parse != RecordParse.Ok)
        {
            journal.UnusableRecord(policy, id, parse);
            await RefuseAsync(context, policy, Problem.StoreUnavailable, "The recorded answer cannot be read. Nothing was forwarded.", record: id);
        }
        else if (stored.Tombstone != TombstoneReason.None)
        {
            // In an object of its own: RFC 9457 reserves the member status for the status of this answer.
            var location = stored.Headers.FirstOrDefault(header => header.Key.Equals("Location", StringComparison.OrdinalIgnoreCase)).Value;
            var original = new Dictionary<string, object?> { ["status"] = stored.Status, ["location"] = location, ["reason"] = stored.Tombstone.ToString() };
            await RefuseAsync(context, policy, Problem.AnswerNotKept, record: id, members: new() { ["original"] = original });
        }
        else
        {
            await ReplayAsync(context, policy, id, stored);
        }
    }

    private async Task ReplayAsync(HttpContext context, IdempotencyPolicy policy, RecordId id, StoredResponse stored)
    {
        // A client that reads slowly holds the answer in memory for as long.
        if (!budget.TryTakeForReplay(stored.Body.Length))
        {
            await RefuseAsync(context, policy, Problem.StoreUnavailable, "The request was executed, and there is no room to give its recorded answer at the moment. Repeat it with the same key.", StoreRetryAfter, id);
            return;
        }

        try
        {
            journal.Replayed(policy, id, stored.Status);
            await Replay.WriteAsync(context, stored);
        }
        finally
        {
            budget.Return(stored.Body.Length);
        }
    }

    private async Task RefuseAsync(
        HttpContext context,
        IdempotencyPolicy policy,
        Problem problem,
        string? detail = null,
        TimeSpan? retryAfter = null,
        RecordId? record = null,
        Dictionary<string, object?>? members = null)
    {
        journal.Refused(policy, problem, record);
        await ProblemWriter.WriteAsync(context, problem, detail, retryAfter: retryAfter, members: members);
    }

    private Task RefuseBodyAsync(HttpContext context, IdempotencyPolicy policy, BodyRead read)
    {
        switch (read)
        {
            case BodyRead.TooLarge:
                return RefuseAsync(context, policy, Problem.RequestTooLarge, $"The body is larger than {policy.MaxRequestBodyBytes} bytes.");
            case BodyRead.NoRoom:
                return RefuseAsync(context, policy, Problem.RequestNotBuffered, retryAfter: StoreRetryAfter);
            case BodyRead.TimedOut:
                context.Response.Headers.Connection = "close"; // the rest is not waited for (RFC 9110, section 15.5.9)
                return RefuseAsync(context, policy, Problem.RequestTimeout);
            case BodyRead.Malformed:
                return RefuseAsync(context, policy, Problem.RequestInvalid, "The size of a chunk is not valid.");
            default:
                throw new UnreachableException();
        }
    }

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
