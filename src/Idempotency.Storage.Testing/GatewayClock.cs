namespace Idempotency.Storage.Testing;

/// <summary>The clock of a process on a machine that has the wrong time.</summary>
internal sealed class GatewayClock(TimeSpan ahead) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + ahead;
}
