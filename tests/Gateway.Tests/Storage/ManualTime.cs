namespace Gateway.Tests.Storage;

/// <summary>A wall clock that stands still until a test moves it. Timers and timestamps stay real, so that timeouts still work.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly DateTimeOffset _start = System.GetUtcNow();
    private long _offsetTicks;

    public void Advance(TimeSpan by) => Interlocked.Add(ref _offsetTicks, by.Ticks);

    public override DateTimeOffset GetUtcNow() => _start + TimeSpan.FromTicks(Interlocked.Read(ref _offsetTicks));
}
