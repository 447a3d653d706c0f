namespace Idempotency.Storage.Testing;

/// <summary>
/// What a class of tests needs of the machine, such as the server of its store. Where that is missing, its <see cref="StoreFactAttribute"/> and
/// <see cref="StoreTheoryAttribute"/> tests are skipped, the inherited ones too.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
public abstract class StoreRequirementAttribute : Attribute
{
    /// <summary>Why the tests cannot run here; null when they can. Asked once for each test, when tests are looked for.</summary>
    public abstract string? SkipReason { get; }
}
