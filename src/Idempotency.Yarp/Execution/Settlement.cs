using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>Ends the claim of a forwarded request in the store, and tells the client what it should know about that, as long as it can be told.</summary>
internal sealed class Settlement(LeaseKeeper leases, AnswerRecords records, NearCopies copies, RequestJournal journal)
{
    /// <summary>Settles with the answer, or with a tombstone when there is a reason not to keep it.</summary>
    /// <returns>Why the answer is not kept, the given reason or one that came up, and whether the store has it.</returns>
    public async ValueTask<(TombstoneReason Reason, EndResult End)> SettleAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, TombstoneReason reason, ReadOnlyMemory<byte> body)
    {
        var status = trace.Status ?? 0;
        var headers = reason == TombstoneReason.Headers ? [] : RecordedHeaders.Of(context.Response.Headers, policy);
        var response = new StoredResponse(status, headers, body, reason);
        var written = await records.WriteAsync(policy, claim.Request, response);
        var end = await leases.EndAsync(claim, ClaimEnd.Settle, written.Record);
        if (end != EndResult.Recorded)
        {
            journal.NotRecorded(policy, claim.Request.Id, status, end);
            Tell(context, policy, IdempotencyStatus.NotRecorded);
            return (written.Reason, end);
        }

        if (claim.Request.Attempt == 1 && (!written.IsApart || copies.HasRoomFor(body.Length)))
        {
            // The retention of a take-over is what was left of the first claim's, which only the store knows.
            var near = written.IsApart ? records.Whole(claim.Request.Id, response) : written.Record;
            copies.Add(claim.Request.Id, claim.Request.Fingerprint, near, claim.RenewedAt.Timestamp, claim.Request.Retention);
        }

        if (written.Reason != TombstoneReason.None)
        {
            Tell(context, policy, IdempotencyStatus.AnswerNotKept);
        }

        return (written.Reason, end);
    }

    /// <param name="context">Whose client is told.</param>
    /// <param name="policy">For the log.</param>
    /// <param name="claim">The claim.</param>
    /// <param name="end">Release or MarkUncertain.</param>
    /// <param name="status">What to tell the client beside the answer.</param>
    public async ValueTask<EndResult> EndAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ClaimEnd end, string status)
    {
        var result = await leases.EndAsync(claim, end);
        if (result != EndResult.Recorded)
        {
            journal.NotRecorded(policy, claim.Request.Id, context.Response.StatusCode, result);
        }

        Tell(context, policy, result == EndResult.Recorded ? status : IdempotencyStatus.NotRecorded);
        return result;
    }

    /// <summary>Frees the claim of a request that was provably not sent.</summary>
    /// <returns>What the key is then.</returns>
    public async ValueTask<ReleasedKey> ReleaseAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim)
    {
        var key = await leases.ReleaseAsync(claim);
        if (key == ReleasedKey.FreeLater)
        {
            journal.NotRecorded(policy, claim.Request.Id, context.Response.StatusCode, EndResult.Later);
            Tell(context, policy, IdempotencyStatus.NotRecorded);
        }

        return key;
    }

    /// <summary>A policy that observes changes no answer, and an answer that has begun cannot be changed.</summary>
    private static void Tell(HttpContext context, IdempotencyPolicy policy, string status)
    {
        if (policy.Mode != PolicyMode.Observe && !context.Response.HasStarted)
        {
            context.Response.Headers[GatewayHeaders.Status] = status;
        }
    }
}
