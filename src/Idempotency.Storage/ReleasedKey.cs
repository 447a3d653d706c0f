namespace Idempotency.Storage;

/// <summary>What a key is after a claim of which nothing was sent was released.</summary>
internal enum ReleasedKey
{
    /// <summary>As if it had never been claimed.</summary>
    Free,

    /// <summary>The store did not take the release yet; the key is free once it has, or uncertain.</summary>
    FreeLater,

    /// <summary>Uncertain: an earlier attempt, which this one had taken over, may have been executed.</summary>
    Uncertain,

    /// <summary>Another request's, which took it over while this one was away.</summary>
    Taken,
}
