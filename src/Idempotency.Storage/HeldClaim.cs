namespace Idempotency.Storage;

/// <summary>The write that ends a claim.</summary>
internal enum ClaimEnd
{
    Settle,
    MarkUncertain,
    Release,
}

/// <summary>A claim that this process works on, renewed by <see cref="LeaseKeeper"/> until it is being ended.</summary>
internal sealed class HeldClaim(ClaimRequest request, Moment renewedAt)
{
    private volatile bool _isEnded;
    private volatile bool _isReleased;
    private volatile bool _isSettled;
    private volatile bool _isLost;
    private volatile bool _isInDoubt;

    public ClaimRequest Request => request;

    /// <summary>
    /// When the lease last began for certain: taken before the store was asked, and set once it had agreed. A reader that meets the half of a
    /// new value takes the lease for older than it is, never for younger.
    /// </summary>
    public Moment RenewedAt { get; set; } = renewedAt;

    /// <summary>Its end was decided: it is not renewed any more.</summary>
    public bool IsEnded => _isEnded;

    /// <summary>Its end is a release: a renewal that was on its way may have taken the freed key again.</summary>
    public bool IsReleased => _isReleased;

    /// <summary>Its end is a settlement: the backend has answered, and nobody takes it over.</summary>
    public bool IsSettled => _isSettled;

    /// <summary>The record is another's, or was gone and may have been: what this claim stands for must not be begun any more.</summary>
    public bool IsLost => _isLost;

    /// <summary>A renewal was not answered, and may come to the store after what was sent later.</summary>
    public bool IsInDoubt => _isInDoubt;

    public void Lost() => _isLost = true;

    public void Doubt() => _isInDoubt = true;

    public void Ended(ClaimEnd end)
    {
        _isReleased = end == ClaimEnd.Release;
        _isSettled = end == ClaimEnd.Settle;
        _isEnded = true;
    }
}
