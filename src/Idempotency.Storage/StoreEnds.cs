namespace Idempotency.Storage;

/// <summary>The three ends of a claim as one call, for those that decide the end elsewhere.</summary>
internal static class StoreEnds
{
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    public static ValueTask<WriteResult> EndAsync(this IIdempotencyStore store, in ClaimRequest claim, ClaimEnd end, ReadOnlyMemory<byte> answer) => end switch
    {
        ClaimEnd.Settle => store.SettleAsync(claim, answer, CancellationToken.None),
        ClaimEnd.MarkUncertain => store.MarkUncertainAsync(claim, CancellationToken.None),
        _ => store.ReleaseAsync(claim, CancellationToken.None),
    };
}
