using Xunit;

namespace Gateway.Tests.Support;

/// <summary>A theory that needs a Redis of its own and a clock that can be moved.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class FakeClockTheoryAttribute : TheoryAttribute
{
    public FakeClockTheoryAttribute()
    {
        Skip = RedisInstallation.SkipReason(ownServer: true) ?? FakeClock.SkipReason;
    }
}
