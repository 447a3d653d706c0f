namespace Gateway.Storage;

/// <summary>The write that ends a claim.</summary>
internal enum ClaimEnd
{
    Settle,
    MarkUncertain,
    Release,
}

/// <summary>
/// A claim that this process holds: renewed by <see cref="LeaseKeeper"/> until it is ended, and ended in the background when the store
/// was away at the time.
/// </summary>
internal sealed class HeldClaim(ClaimRequest request, long renewedAt)
{
    public ClaimRequest Request => request;

    /// <summary>When the lease last began, as a <see cref="TimeProvider"/> timestamp taken before the store was asked.</summary>
    public long RenewedAt { get; set; } = renewedAt;

    /// <summary>Set before the claim's end is sent, so that no renewal follows it.</summary>
    public bool Ended { get; set; }

    /// <summary>The write that the store still owes, once the first try failed.</summary>
    public ClaimEnd? Pending { get; set; }

    /// <summary>The answer of a pending <see cref="ClaimEnd.Settle"/>.</summary>
    public ReadOnlyMemory<byte> Answer { get; set; }
}
