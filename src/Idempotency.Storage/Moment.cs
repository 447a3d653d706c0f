namespace Idempotency.Storage;

/// <summary>
/// A moment by both clocks of this process. How long ago it was is the larger of what they say, because neither can be trusted alone: the
/// monotonic clock stands still while a virtual machine is suspended, and the wall clock may be set back.
/// </summary>
/// <param name="Timestamp">As <see cref="TimeProvider.GetTimestamp"/>.</param>
/// <param name="WallTicks">As <see cref="TimeProvider.GetUtcNow"/>, in ticks.</param>
internal readonly record struct Moment(long Timestamp, long WallTicks)
{
    public static Moment Now(TimeProvider time) => new(time.GetTimestamp(), time.GetUtcNow().UtcTicks);

    /// <summary>How long ago it was at the most.</summary>
    public TimeSpan Age(TimeProvider time)
    {
        var (monotonic, wall) = (time.GetElapsedTime(Timestamp), new TimeSpan(time.GetUtcNow().UtcTicks - WallTicks));
        return monotonic > wall ? monotonic : wall;
    }
}
