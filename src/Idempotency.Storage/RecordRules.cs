namespace Idempotency.Storage;

/// <summary>
/// The state machine of one key, for stores that read a record, decide here, and write, all in one atomic step: from what is on record (null
/// when nothing is, or its retention is over) to what the caller is told and what is written. A store that cannot hold a lock between reading and writing writes
/// on condition that the record has not changed, and begins again when it has. Pure; the same as the Lua scripts of the Redis store.
/// </summary>
public static class RecordRules
{
    private static readonly RecordWrite Nothing = new(RecordWriteKind.Nothing);

    /// <summary>Claims a key, takes over the attempt that the claim names, or finds what is on record.</summary>
    /// <param name="existing">What is on record; null when nothing is, or its retention is over. Forgotten ones included.</param>
    /// <param name="claim">The caller's.</param>
    /// <param name="now">The store's time, in milliseconds since 1970, taken inside the atomic step.</param>
    public static (ClaimResult Result, RecordWrite Write) Claim(in StoredRecord? existing, in ClaimRequest claim, long now)
    {
        if (existing is not { IsForgotten: false } record)
        {
            // A forgotten record's attempt goes on, so that no late owner of it is ahead of the new one.
            var attempt = existing?.Attempt ?? 1;
            return (new ClaimResult(ClaimState.Claimed, claim.Fingerprint, Attempt: attempt), Put(claim, RecordState.Claimed, attempt, now));
        }

        if (record.State == RecordState.Claimed && record.Token == claim.Token)
        {
            return (new ClaimResult(ClaimState.Claimed, record.Fingerprint, Attempt: record.Attempt), Nothing);
        }

        var found = record.ToResult(now);
        if (found.State != ClaimState.Uncertain || record.Attempt != claim.TakeOver || record.Fingerprint != claim.Fingerprint)
        {
            return (found, Nothing);
        }

        // The retention goes on, but the record must outlive its claim.
        var leaseUntil = now + Milliseconds(claim.Lease);
        return (
            new ClaimResult(ClaimState.Claimed, record.Fingerprint, Attempt: record.Attempt + 1),
            new RecordWrite(RecordWriteKind.Update, RecordState.Claimed, claim.Token, leaseUntil, Math.Max(record.ExpiresAt, leaseUntil), record.Attempt + 1));
    }

    /// <summary>Settles a claim, or marks it uncertain.</summary>
    /// <param name="existing">As in <see cref="Claim"/>.</param>
    /// <param name="claim">The owner's.</param>
    /// <param name="state"><see cref="RecordState.Settled"/> or <see cref="RecordState.Uncertain"/>.</param>
    /// <param name="now">As in <see cref="Claim"/>.</param>
    public static (WriteResult Result, RecordWrite Write) End(in StoredRecord? existing, in ClaimRequest claim, RecordState state, long now)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return refusal is { } reason ? (reason, Nothing) : (WriteResult.Recreated, Put(claim, state, claim.Attempt, now));
        }

        // The retention counts from the claim: settling does not move it.
        return record.State == RecordState.Settled
            ? (state == RecordState.Settled ? WriteResult.Done : WriteResult.Settled, Nothing)
            : (WriteResult.Done, Update(record, state, now));
    }

    /// <summary>Frees a claim of which nothing was sent; one that was taken over becomes uncertain again.</summary>
    /// <param name="existing">As in <see cref="Claim"/>.</param>
    /// <param name="claim">The owner's.</param>
    /// <param name="now">As in <see cref="Claim"/>.</param>
    public static (WriteResult Result, RecordWrite Write) Release(in StoredRecord? existing, in ClaimRequest claim, long now)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return (refusal ?? WriteResult.Gone, Nothing);
        }

        if (record.State != RecordState.Claimed)
        {
            return (WriteResult.Settled, Nothing);
        }

        return (WriteResult.Done, record.Attempt == 1 ? new RecordWrite(RecordWriteKind.Delete) : Update(record, RecordState.Uncertain, now));
    }

    /// <summary>Restarts the lease of a claim.</summary>
    /// <param name="existing">As in <see cref="Claim"/>.</param>
    /// <param name="claim">The owner's.</param>
    /// <param name="now">As in <see cref="Claim"/>.</param>
    public static (WriteResult Result, RecordWrite Write) Renew(in StoredRecord? existing, in ClaimRequest claim, long now)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return refusal is { } reason ? (reason, Nothing) : (WriteResult.Recreated, Put(claim, RecordState.Claimed, claim.Attempt, now));
        }

        return record.State == RecordState.Claimed
            ? (WriteResult.Done, Update(record, RecordState.Claimed, now) with { LeaseUntil = now + Milliseconds(claim.Lease), ExpiresAt = now + Milliseconds(claim.Retention) })
            : (WriteResult.Settled, Nothing);
    }

    /// <summary>
    /// Whether an operator may delete what is on record. Then the record stays, forgotten and uncertain, without answer and probe, for
    /// <see cref="IIdempotencyStore.ForgottenFor"/> from now: it keeps its token and attempt, by which late writes of its owner are known.
    /// </summary>
    /// <param name="existing">As in <see cref="Claim"/>.</param>
    /// <param name="now">As in <see cref="Claim"/>.</param>
    public static bool MayForget(in StoredRecord? existing, long now) =>
        existing is { IsForgotten: false } record && record.ToResult(now).State != ClaimState.InProgress;

    internal static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    /// <summary>
    /// The record, when it is the owner's. Null without a refusal when the store lost it, which includes a take-over that was lost; the
    /// owner may put it back.
    /// </summary>
    private static StoredRecord? FindOwn(in StoredRecord? existing, in ClaimRequest claim, out WriteResult? refusal)
    {
        refusal = null;
        if (existing is not { } record)
        {
            return null;
        }

        var isOwn = record.Token == claim.Token;
        if (isOwn && !record.IsForgotten)
        {
            return record;
        }

        if (isOwn || record.Attempt > claim.Attempt)
        {
            refusal = WriteResult.TakenOver;
        }
        else if (!record.IsForgotten && (record.State == RecordState.Settled || record.Attempt == claim.Attempt))
        {
            refusal = WriteResult.Foreign;
        }

        return null;
    }

    private static RecordWrite Put(in ClaimRequest claim, RecordState state, int attempt, long now) =>
        new(RecordWriteKind.Put, state, claim.Token, state == RecordState.Uncertain ? now : now + Milliseconds(claim.Lease), now + Milliseconds(claim.Retention), attempt);

    /// <summary>Of what is marked uncertain nothing is sent from now on: its age counts from here, or from the end of its lease if that was before.</summary>
    private static RecordWrite Update(in StoredRecord record, RecordState state, long now) =>
        new(RecordWriteKind.Update, state, record.Token, state == RecordState.Uncertain ? Math.Min(record.LeaseUntil, now) : record.LeaseUntil, record.ExpiresAt, record.Attempt);
}
