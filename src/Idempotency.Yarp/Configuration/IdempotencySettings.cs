using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Configuration;

/// <summary>What is configured of idempotency itself; routes say which of the policies is theirs (<see cref="RoutePolicy"/>).</summary>
internal sealed record IdempotencySettings
{
    /// <summary>All policies by name, <c>default</c> included. Names are compared without case.</summary>
    public required IReadOnlyDictionary<string, IdempotencyPolicy> Policies { get; init; }

    /// <summary>The secret of record ids; null when the store keeps one.</summary>
    public string? Secret { get; init; }

    /// <summary>The key ring of recorded answers; null when they are stored as they are.</summary>
    public EncryptionSettings? Encryption { get; init; }

    public NearCopySettings NearCopy { get; init; } = new();

    public LimitSettings Limits { get; init; } = new();
}
