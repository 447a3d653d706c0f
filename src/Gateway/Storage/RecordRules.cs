namespace Gateway.Storage;

/// <summary>The state of a record on disk; what it reads as also depends on the clock (<see cref="StoredRecord.ToResult"/>).</summary>
internal enum RecordState
{
    Claimed = 1,
    Uncertain = 2,
    Settled = 3,
}

/// <summary>A record as a database holds it, without its probe. Times are milliseconds since 1970, by the store's clock.</summary>
/// <param name="State">The state.</param>
/// <param name="Token">The owner's token.</param>
/// <param name="Fingerprint">What the key is used for.</param>
/// <param name="LeaseUntil">A claim past this reads as uncertain.</param>
/// <param name="ExpiresAt">A record past this reads as absent.</param>
/// <param name="Answer">The answer, when settled.</param>
/// <param name="Attempt">1, and one more for every take-over.</param>
/// <param name="IsForgotten">Deleted by an operator: reads as absent, keeps its owner's late writes out.</param>
internal readonly record struct StoredRecord(
    RecordState State, ClaimToken Token, Fingerprint Fingerprint, long LeaseUntil, long ExpiresAt, ReadOnlyMemory<byte> Answer, int Attempt, bool IsForgotten)
{
    /// <summary>What this record is to others than its owner.</summary>
    public ClaimResult ToResult(long now) => State switch
    {
        RecordState.Settled => new ClaimResult(ClaimState.Settled, Fingerprint, TimeSpan.FromMilliseconds(ExpiresAt - now), Answer, Attempt),
        RecordState.Claimed when LeaseUntil > now => new ClaimResult(ClaimState.InProgress, Fingerprint, TimeSpan.FromMilliseconds(LeaseUntil - now), Attempt: Attempt),
        _ => new ClaimResult(ClaimState.Uncertain, Fingerprint, Attempt: Attempt),
    };
}

/// <summary>What is to be written to one record.</summary>
internal enum RecordWriteKind
{
    Nothing,

    /// <summary>The whole record, from the claim, in the place of what is there; no longer forgotten, with the claim's probe unless settled.</summary>
    Put,

    /// <summary>State, token, lease, expiry and attempt; the answer, and no probe any more, when settled.</summary>
    Update,

    Delete,
}

/// <param name="Kind">What to write; the rest is for <see cref="RecordWriteKind.Put"/> and <see cref="RecordWriteKind.Update"/>.</param>
/// <param name="State">The new state.</param>
/// <param name="Token">The new owner's token.</param>
/// <param name="LeaseUntil">The new end of the lease.</param>
/// <param name="ExpiresAt">The new end of the retention.</param>
/// <param name="Attempt">The new attempt.</param>
internal readonly record struct RecordWrite(
    RecordWriteKind Kind, RecordState State = default, ClaimToken Token = default, long LeaseUntil = 0, long ExpiresAt = 0, int Attempt = 0);

/// <summary>
/// The state machine of one key, for stores that read a record, decide here, and write, all in one atomic step: from what is on record (null
/// when nothing is, or its retention is over) to what the caller is told and what is written. The same as the Lua scripts of the Redis store.
/// </summary>
internal static class RecordRules
{
    private static readonly RecordWrite Nothing = new(RecordWriteKind.Nothing);

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
    public static (WriteResult Result, RecordWrite Write) End(in StoredRecord? existing, in ClaimRequest claim, RecordState state, long now)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return refusal is { } reason ? (reason, Nothing) : (WriteResult.Recreated, Put(claim, state, claim.Attempt, now));
        }

        // The retention counts from the claim: settling does not move it.
        return record.State == RecordState.Settled
            ? (state == RecordState.Settled ? WriteResult.Done : WriteResult.Settled, Nothing)
            : (WriteResult.Done, Update(record, state));
    }

    public static (WriteResult Result, RecordWrite Write) Release(in StoredRecord? existing, in ClaimRequest claim)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return (refusal ?? WriteResult.Gone, Nothing);
        }

        if (record.State != RecordState.Claimed)
        {
            return (WriteResult.Settled, Nothing);
        }

        return (WriteResult.Done, record.Attempt == 1 ? new RecordWrite(RecordWriteKind.Delete) : Update(record, RecordState.Uncertain));
    }

    public static (WriteResult Result, RecordWrite Write) Renew(in StoredRecord? existing, in ClaimRequest claim, long now)
    {
        if (FindOwn(existing, claim, out var refusal) is not { } record)
        {
            return refusal is { } reason ? (reason, Nothing) : (WriteResult.Recreated, Put(claim, RecordState.Claimed, claim.Attempt, now));
        }

        return record.State == RecordState.Claimed
            ? (WriteResult.Done, Update(record, RecordState.Claimed) with { LeaseUntil = now + Milliseconds(claim.Lease), ExpiresAt = now + Milliseconds(claim.Retention) })
            : (WriteResult.Settled, Nothing);
    }

    /// <summary>Whether an operator may delete what is on record.</summary>
    public static bool MayForget(in StoredRecord? existing, long now) =>
        existing is { IsForgotten: false } record && record.ToResult(now).State != ClaimState.InProgress;

    public static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

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
        new(RecordWriteKind.Put, state, claim.Token, now + Milliseconds(claim.Lease), now + Milliseconds(claim.Retention), attempt);

    private static RecordWrite Update(in StoredRecord record, RecordState state) =>
        new(RecordWriteKind.Update, state, record.Token, record.LeaseUntil, record.ExpiresAt, record.Attempt);
}
