namespace Gateway.Storage;

/// <summary>The write that ends a claim.</summary>
internal enum ClaimEnd
{
    Settle,
    MarkUncertain,
    Release,
}

/// <summary>A claim that this process works on, renewed by <see cref="LeaseKeeper"/> until it is being ended.</summary>
internal sealed class HeldClaim(ClaimRequest request, long renewedAt)
{
    private volatile bool _isEnded;
    private volatile bool _isReleased;
    private volatile bool _isLost;

    public ClaimRequest Request => request;

    /// <summary>When the lease last began, as a <see cref="TimeProvider"/> timestamp taken before the store was asked.</summary>
    public long RenewedAt { get; set; } = renewedAt;

    /// <summary>Its end was decided: it is not renewed any more.</summary>
    public bool IsEnded => _isEnded;

    /// <summary>Its end is a release: a renewal that was on its way may have taken the freed key again.</summary>
    public bool IsReleased => _isReleased;

    /// <summary>The record is another's: what this claim stood for must not be begun any more.</summary>
    public bool IsLost => _isLost;

    public void Lost() => _isLost = true;

    public void Ended(ClaimEnd end)
    {
        _isReleased = end == ClaimEnd.Release;
        _isEnded = true;
    }
}
