using Idempotency.Yarp;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class BreakerTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly Breaker _breaker;

    public BreakerTests() => _breaker = new Breaker(_time);

    [Fact]
    public void FailuresInARow_OpenIt_ForAMoment_AndThenOneTriesForAll()
    {
        Open();

        Assert.False(_breaker.TryEnter());
        _time.Advance(Breaker.Break - TimeSpan.FromMilliseconds(1));
        Assert.False(_breaker.TryEnter());
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_breaker.TryEnter());
        Assert.False(_breaker.TryEnter());
    }

    [Fact]
    public void AFailureOfTheOneThatTries_BeginsTheBreakAnew_AndIsNotNews()
    {
        Open();
        _time.Advance(Breaker.Break);
        Assert.True(_breaker.TryEnter());

        Assert.False(_breaker.Failed());

        Assert.False(_breaker.TryEnter());
        _time.Advance(Breaker.Break);
        Assert.True(_breaker.TryEnter());
    }

    [Fact]
    public void ASuccessOfTheOneThatTries_ClosesIt_AndIsNews()
    {
        Open();
        _time.Advance(Breaker.Break);
        Assert.True(_breaker.TryEnter());

        Assert.True(_breaker.Succeeded());

        Assert.True(_breaker.TryEnter());
        Assert.True(_breaker.TryEnter());
        Assert.False(_breaker.Succeeded());
    }

    [Fact]
    public void FailuresThatAreNotInARow_DoNotOpenIt()
    {
        for (var i = 0; i < 10; i++)
        {
            Assert.False(_breaker.Failed());
            Assert.False(_breaker.Failed());
            Assert.False(_breaker.Succeeded());
            Assert.True(_breaker.TryEnter());
        }
    }

    private void Open()
    {
        for (var i = 1; i <= Breaker.FailuresToOpen; i++)
        {
            Assert.True(_breaker.TryEnter());
            Assert.Equal(i == Breaker.FailuresToOpen, _breaker.Failed());
        }
    }
}
