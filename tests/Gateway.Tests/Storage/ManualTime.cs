namespace Gateway.Tests.Storage;

/// <summary>A wall clock that a test moves. Timers and timestamps stay real, so that timeouts still work.</summary>
internal sealed class ManualTime : TimeProvider
{
    private long _offsetTicks;

    public void Advance(TimeSpan by) => Interlocked.Add(ref _offsetTicks, by.Ticks);

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref _offsetTicks));
}
