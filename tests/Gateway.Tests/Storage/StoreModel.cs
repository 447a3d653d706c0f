using Gateway.Storage;

namespace Gateway.Tests.Storage;

/// <summary>The store's contract as a few lines over a dictionary, with a clock of its own: what random histories are compared with.</summary>
internal sealed class StoreModel
{
    private readonly Dictionary<RecordId, Entry> _entries = [];

    private sealed record Entry(ClaimState State, ClaimToken Token, Fingerprint Fingerprint, TimeSpan LeaseUntil, TimeSpan ExpiresAt, byte Answer);

    public TimeSpan Now { get; set; }

    public (ClaimState State, Fingerprint Fingerprint, byte? Answer) Claim(ClaimRequest claim)
    {
        if (Find(claim) is not { } entry)
        {
            _entries[claim.Id] = NewClaim(claim);
            return (ClaimState.Claimed, claim.Fingerprint, null);
        }

        var state = entry.State switch
        {
            ClaimState.Settled => ClaimState.Settled,
            ClaimState.Claimed when entry.Token == claim.Token => ClaimState.Claimed,
            ClaimState.Claimed when entry.LeaseUntil > Now => ClaimState.InProgress,
            _ => ClaimState.Uncertain,
        };
        return (state, state == ClaimState.Claimed ? claim.Fingerprint : entry.Fingerprint, state == ClaimState.Settled ? entry.Answer : null);
    }

    public WriteResult End(ClaimRequest claim, ClaimEnd end, byte answer) => (Find(claim), end) switch
    {
        (null, ClaimEnd.Release) => WriteResult.Gone,
        (null, _) => Put(NewClaim(claim) with { State = StateOf(end), Answer = answer }, claim, WriteResult.Recreated),
        ({ } entry, _) when entry.Token != claim.Token => WriteResult.Foreign,
        ({ State: ClaimState.Settled }, ClaimEnd.Settle) => WriteResult.Done,
        ({ State: ClaimState.Settled }, _) => WriteResult.Settled,
        ({ State: ClaimState.Uncertain }, ClaimEnd.Release) => WriteResult.Settled,
        ({ }, ClaimEnd.Release) => Remove(claim),
        ({ } entry, _) => Put(entry with { State = StateOf(end), Answer = answer }, claim, WriteResult.Done),
    };

    public WriteResult Renew(ClaimRequest claim) => Find(claim) switch
    {
        null => Put(NewClaim(claim), claim, WriteResult.Recreated),
        { } entry when entry.Token != claim.Token => WriteResult.Foreign,
        { State: ClaimState.Claimed } => Put(NewClaim(claim), claim, WriteResult.Done),
        _ => WriteResult.Settled,
    };

    private Entry? Find(ClaimRequest claim) => _entries.TryGetValue(claim.Id, out var entry) && entry.ExpiresAt > Now ? entry : null;

    private Entry NewClaim(ClaimRequest claim) => new(ClaimState.Claimed, claim.Token, claim.Fingerprint, Now + claim.Lease, Now + claim.Retention, 0);

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

    private static ClaimState StateOf(ClaimEnd end) => end == ClaimEnd.Settle ? ClaimState.Settled : ClaimState.Uncertain;
}
