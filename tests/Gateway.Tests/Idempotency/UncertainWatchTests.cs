using System.Diagnostics.Metrics;
using Gateway.Tests.Storage;
using Idempotency.Storage;
using Idempotency.Yarp;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>What is told of uncertain keys, and how often.</summary>
public sealed class UncertainWatchTests : IDisposable
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly WalkedStore _store = new();
    private readonly FakeTimeProvider _time = new();
    private readonly FakeLogger<UncertainWatch> _logger = new();
    private readonly MetricCollector<long> _gauge;
    private readonly UncertainWatch _watch;
    private bool _isFirst = true;

    public UncertainWatchTests()
    {
        var meters = _services.GetRequiredService<IMeterFactory>();
        _watch = new UncertainWatch(_store, new IdempotencyMetrics(meters), _time, _logger);
        _gauge = new MetricCollector<long>(meters, IdempotencyMetrics.MeterName, "gateway.idempotency.uncertain_records");
    }

    public void Dispose()
    {
        _watch.Dispose();
        _gauge.Dispose();
        _services.Dispose();
    }

    [Fact]
    public async Task AKeyWithoutAnOwner_IsToldOnce_AndAgainWhenItHadAnEndBetween()
    {
        await TickAsync(Last(Lapsed(1)));
        await TickAsync(Last(Lapsed(1)));
        Assert.Equal(["00000001"], Told());

        await TickAsync(Last());
        await TickAsync(Last(Lapsed(1)));
        Assert.Equal(["00000001", "00000001"], Told());
    }

    [Fact]
    public async Task WhatItsOwnerMarked_OrMayStillSettle_IsCounted_AndNotTold()
    {
        await TickAsync(Last(new UncertainMark(Id(1), IsMarked: true, Minute), new UncertainMark(Id(2), IsMarked: false, TimeSpan.FromSeconds(2))));

        Assert.Empty(Told());
        Assert.Equal(2, Gauge());
    }

    [Fact]
    public async Task TheGauge_IsOfAWholeRound()
    {
        await TickAsync(Part(Lapsed(1), Lapsed(2)));
        Assert.Null(Gauge());

        await TickAsync(Last(Lapsed(3)));
        Assert.Equal(3, Gauge());

        await TickAsync(Part(Lapsed(1)));
        Assert.Equal(3, Gauge());
        await TickAsync(Last());
        Assert.Equal(1, Gauge());
    }

    [Fact]
    public async Task WhileTheStoreIsAway_NoNumberIsGiven()
    {
        await TickAsync(Last(Lapsed(1), Lapsed(2)));
        await TickAsync(Part(Lapsed(1)));
        await TickAsync(_ => throw new StoreUnavailableException("away"));
        Assert.Null(Gauge());

        await TickAsync(Part());
        Assert.Equal(2, Gauge());
        await TickAsync(Last(Lapsed(2)));
        Assert.Equal(2, Gauge());
        Assert.Equal(2, Told().Count);
    }

    [Fact]
    public async Task ARoundThatBeginsAnew_OrMeetsARecordTwice_CountsItOnce()
    {
        await TickAsync(Part(Lapsed(1), Lapsed(2)));
        _isFirst = true;
        await TickAsync(Part(Lapsed(1), Lapsed(1)));
        await TickAsync(Last(Lapsed(1)));

        Assert.Equal(1, Gauge());
        Assert.Equal(2, Told().Count);
    }

    [Fact]
    public async Task ABug_IsLogged_AndTheWatchGoesOn()
    {
        await TickAsync(_ => throw new InvalidOperationException("a bug"));
        Assert.Equal(1015, Assert.Single(_logger.Collector.GetSnapshot()).Id.Id);
        Assert.Null(Gauge());

        await TickAsync(Last(Lapsed(1)));
        Assert.Equal(1, Gauge());
    }

    [Fact]
    public async Task ManyThatAreMarked_DoNotHideOneThatIsNot()
    {
        var marked = Enumerable.Range(1, 100_001).Select(number => new UncertainMark(Id(number), IsMarked: true, Minute)).ToArray();

        await TickAsync(Part(marked));
        await TickAsync(Last(Lapsed(200_000)));

        Assert.Single(Told());
        Assert.Equal(100_002, Gauge());
    }

    [Fact]
    public async Task AfterARoundThatBrokeOff_NoNumberIsGiven_UntilAWholeOne()
    {
        await TickAsync(Last(Lapsed(1), Lapsed(2)));
        await TickAsync(Part(Lapsed(1)));
        _isFirst = true;
        await TickAsync(Part());
        Assert.Null(Gauge());

        await TickAsync(Last());
        Assert.Equal(0, Gauge());
    }

    [Fact]
    public async Task AStoreThatCannotBeGoneThrough_IsToldOnceAfterFiveMinutes_UntilItCan()
    {
        for (var minutes = 0; minutes < 12; minutes++)
        {
            await TickAsync(_ => throw new StoreUnavailableException("no right"));
            _time.Advance(Minute);
        }

        Assert.Equal(1016, Assert.Single(_logger.Collector.GetSnapshot()).Id.Id);
        await TickAsync(Last());
        await TickAsync(_ => throw new StoreUnavailableException("no right"));
        _time.Advance(5 * Minute);
        await TickAsync(_ => throw new StoreUnavailableException("no right"));
        Assert.Equal(2, _logger.Collector.Count);
    }

    [Fact]
    public async Task Thousands_AreToldEach()
    {
        var all = Enumerable.Range(1, 5000).Select(Lapsed).ToArray();
        await TickAsync(Last(all));
        await TickAsync(Last(all));

        Assert.Equal(all.Select(mark => mark.Id.Short), Told());
        Assert.Equal(5000, Gauge());
    }

    private static RecordId Id(int number) => new(new Digest((ulong)number << 32, 0, 0, 0));

    private static UncertainMark Lapsed(int number) => new(Id(number), IsMarked: false, Minute);

    private static Func<bool, UncertainPart> Part(params UncertainMark[] found) => isFirst => new UncertainPart(found, isFirst, IsLast: false);

    private static Func<bool, UncertainPart> Last(params UncertainMark[] found) => isFirst => new UncertainPart(found, isFirst, IsLast: true);

    private async Task TickAsync(Func<bool, UncertainPart> part)
    {
        _store.Next = () =>
        {
            var next = part(_isFirst);
            _isFirst = next.IsLast;
            return next;
        };
        await _watch.LookAsync(CancellationToken.None);
    }

    private List<string> Told() => [.. _logger.Collector.GetSnapshot().Where(line => line.Id.Id == 1014).Select(line => line.Message[..8])];

    private long? Gauge()
    {
        _gauge.Clear();
        _gauge.RecordObservableInstruments();
        return _gauge.LastMeasurement?.Value;
    }

    private sealed class WalkedStore : StoreStub
    {
        public Func<UncertainPart> Next { get; set; } = () => default;

        public override ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => new(Next());
    }
}
