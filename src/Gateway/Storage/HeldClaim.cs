namespace Gateway.Storage;

/// <summary>The write that ends a claim.</summary>
internal enum ClaimEnd
{
    Settle,
    MarkUncertain,
    Release,
}

/// <summary>How a claim is to be ended; immutable, so that its parts are never seen apart.</summary>
internal sealed record PendingEnd(ClaimEnd End, ReadOnlyMemory<byte> Answer);

/// <summary>
/// A claim that this process holds: renewed by <see cref="LeaseKeeper"/> until it is being ended, and ended in the background when the
/// store was away at the time.
/// </summary>
internal sealed class HeldClaim(ClaimRequest request, long renewedAt)
{
    private volatile PendingEnd? _end;
    private volatile bool _isPending;

    public ClaimRequest Request => request;

    /// <summary>When the lease last began, as a <see cref="TimeProvider"/> timestamp taken before the store was asked.</summary>
    public long RenewedAt { get; set; } = renewedAt;

    /// <summary>Set before the claim's end is sent, so that no renewal follows it.</summary>
    public PendingEnd? End
    {
        get => _end;
        set => _end = value;
    }

    /// <summary>The first try failed: the store still owes the end.</summary>
    public bool IsPending
    {
        get => _isPending;
        set => _isPending = value;
    }
}
