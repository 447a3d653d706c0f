namespace Idempotency.Yarp.Configuration;

/// <summary>Recorded answers that this instance keeps in memory beside the store (<c>Idempotency:NearCopy</c>). Read at start only.</summary>
internal sealed record NearCopySettings
{
    /// <summary>How many. 10,000; 0 switches the near copy off.</summary>
    public int MaxEntries { get; init; } = 10_000;

    /// <summary>Their bodies and header fields, all together. 16 MiB, in bytes.</summary>
    public long MaxBytes { get; init; } = 16 * 1024 * 1024;
}
