namespace Idempotency.Storage.Testing;

/// <summary>The store's contract as a few lines over a dictionary, with a clock of its own: what random histories are compared with.</summary>
internal sealed class StoreModel
{
    private readonly Dictionary<RecordId, Entry> _entries = [];

    private sealed record Entry(
        ClaimState State, ClaimToken Token, Fingerprint Fingerprint, TimeSpan LeaseUntil, TimeSpan ExpiresAt, int Attempt, byte Answer = 0, bool IsForgotten = false);

    public TimeSpan Now { get; set; }

    public (ClaimState State, Fingerprint Fingerprint, int Attempt, byte? Answer) Claim(ClaimRequest claim)
    {
        var existing = Find(claim.Id);
        if (existing is not { IsForgotten: false } entry)
        {
            var attempt = existing?.Attempt ?? 1;
            _entries[claim.Id] = NewClaim(claim with { Attempt = attempt });
            return (ClaimState.Claimed, claim.Fingerprint, attempt, null);
        }

        var found = Describe(entry);
        if (entry.State == ClaimState.Claimed && entry.Token == claim.Token)
        {
            return (ClaimState.Claimed, claim.Fingerprint, entry.Attempt, null);
        }

        if (found.State != ClaimState.Uncertain || entry.Attempt != claim.TakeOver || entry.Fingerprint != claim.Fingerprint)
        {
            return found;
        }

        var taken = NewClaim(claim with { Attempt = entry.Attempt + 1 });
        _entries[claim.Id] = taken with { ExpiresAt = entry.ExpiresAt > taken.LeaseUntil ? entry.ExpiresAt : taken.LeaseUntil };
        return (ClaimState.Claimed, claim.Fingerprint, taken.Attempt, null);
    }

    public (ClaimState State, Fingerprint Fingerprint, int Attempt, byte? Answer)? Watch(RecordId id) =>
        Find(id) is { IsForgotten: false } entry ? Describe(entry) : null;

    /// <param name="claim">The owner's.</param>
    /// <param name="end">Settled or uncertain; null for a release.</param>
    /// <param name="answer">When settled.</param>
    public WriteResult End(ClaimRequest claim, ClaimState? end, byte answer) => (FindOwn(claim, out var refusal), end) switch
    {
        (null, _) when refusal is { } refused => refused,
        (null, null) => WriteResult.Gone,
        (null, { } state) => Put(NewClaim(claim) with { State = state, Answer = answer }, claim, WriteResult.Recreated),
        ({ State: ClaimState.Settled }, ClaimState.Settled) => WriteResult.Done,
        ({ State: ClaimState.Settled }, _) => WriteResult.Settled,
        ({ State: ClaimState.Uncertain }, null) => WriteResult.Settled,
        ({ Attempt: 1 }, null) => Remove(claim),
        ({ } entry, _) => Put(entry with { State = end ?? ClaimState.Uncertain, Answer = answer }, claim, WriteResult.Done),
    };

    public WriteResult Renew(ClaimRequest claim) => FindOwn(claim, out var refusal) switch
    {
        null => refusal ?? Put(NewClaim(claim), claim, WriteResult.Recreated),
        { State: ClaimState.Claimed } entry => Put(NewClaim(claim) with { Attempt = entry.Attempt }, claim, WriteResult.Done),
        _ => WriteResult.Settled,
    };

    public bool Forget(RecordId id)
    {
        if (Find(id) is not { IsForgotten: false } entry || Describe(entry).State == ClaimState.InProgress)
        {
            return false;
        }

        _entries[id] = entry with { State = ClaimState.Uncertain, IsForgotten = true, ExpiresAt = Now + IIdempotencyStore.ForgottenFor };
        return true;
    }

    private Entry? Find(RecordId id) => _entries.TryGetValue(id, out var entry) && entry.ExpiresAt > Now ? entry : null;

    private Entry? FindOwn(ClaimRequest claim, out WriteResult? refusal)
    {
        var entry = Find(claim.Id);
        var isOwn = entry?.Token == claim.Token;
        refusal = entry switch
        {
            null => null,
            { IsForgotten: false } when isOwn => null,
            { } when isOwn || entry.Attempt > claim.Attempt => WriteResult.TakenOver,
            { IsForgotten: false } when entry.State == ClaimState.Settled || entry.Attempt == claim.Attempt => WriteResult.Foreign,
            _ => null,
        };
        return isOwn && refusal is null ? entry : null;
    }

    private (ClaimState State, Fingerprint Fingerprint, int Attempt, byte? Answer) Describe(Entry entry) => entry.State switch
    {
        ClaimState.Settled => (ClaimState.Settled, entry.Fingerprint, entry.Attempt, entry.Answer),
        ClaimState.Claimed when entry.LeaseUntil > Now => (ClaimState.InProgress, entry.Fingerprint, entry.Attempt, null),
        _ => (ClaimState.Uncertain, entry.Fingerprint, entry.Attempt, null),
    };

    private Entry NewClaim(ClaimRequest claim) =>
        new(ClaimState.Claimed, claim.Token, claim.Fingerprint, Now + claim.Lease, Now + claim.Retention, claim.Attempt);

    private WriteResult Put(Entry entry, ClaimRequest claim, WriteResult result)
    {
        _entries[claim.Id] = entry;
        return result;
    }

    private WriteResult Remove(ClaimRequest claim)
    {
        _entries.Remove(claim.Id);
        return WriteResult.Done;
    }
}
