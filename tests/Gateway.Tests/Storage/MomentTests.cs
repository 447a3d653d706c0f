using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class MomentTests
{
    [Theory]
    [InlineData(3, 3, 3)]
    [InlineData(0, 60, 60)] // the machine was suspended: its monotonic clock stood still
    [InlineData(5, -3600, 5)] // the wall clock was set back
    [InlineData(5, 3600, 3600)] // set forward: older than it is, which costs a renewal
    public void AMoment_IsAsOldAsTheClockSaysThatMovedFurther(int monotonic, int wall, int age)
    {
        var time = new TwoClocks();
        var moment = Moment.Now(time);

        time.Monotonic += TimeSpan.FromSeconds(monotonic);
        time.Wall += TimeSpan.FromSeconds(wall);

        Assert.Equal(TimeSpan.FromSeconds(age), moment.Age(time));
    }

    private sealed class TwoClocks : TimeProvider
    {
        public TimeSpan Monotonic { get; set; } = TimeSpan.FromDays(1);

        public DateTimeOffset Wall { get; set; } = DateTimeOffset.UnixEpoch.AddYears(50);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Monotonic.Ticks;

        public override DateTimeOffset GetUtcNow() => Wall;
    }
}
