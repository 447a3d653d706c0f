using System.Security.Cryptography;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>How a busy process renews: a store never gets everything at once.</summary>
public sealed class LeaseKeeperTests : IDisposable
{
    private const int Claims = 2500;
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(500);

    private readonly CountedTimers _time = new();
    private readonly RenewingStore _store = new();
    private readonly LeaseKeeper _keeper;

    public LeaseKeeperTests()
    {
        _keeper = new LeaseKeeper(_store, _time, NullLogger<LeaseKeeper>.Instance);
        foreach (var _ in Enumerable.Range(0, Claims))
        {
            var id = new RecordId(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));
            _keeper.Hold(new ClaimRequest(id, ClaimToken.Create(), default, Lease, TimeSpan.FromDays(1)), _keeper.Now);
        }
    }

    public void Dispose() => _keeper.Dispose();

    [Fact]
    public async Task ManyThatAreDue_AreRenewedInBatches_OneAfterTheOther()
    {
        await TickUntilAsync(() => _store.Renewed == Claims);

        Assert.Equal([1000, 1000, 500], _store.Calls);
        Assert.Equal(1, _store.MostAtOnce);
    }

    [Fact]
    public async Task AStoreThatIsAway_IsAskedForOneBatchATick_AndForAllWhenItIsBack()
    {
        _store.IsAway = true;
        await TickUntilAsync(() => _store.Calls.Count > 0);
        await Task.Delay(TimeSpan.FromMilliseconds(100)); // for a second batch, which must not come

        Assert.Equal([1000], _store.Calls);
        _store.IsAway = false;
        await TickUntilAsync(() => _store.Renewed == Claims);
    }

    /// <summary>A host that failed to start disposes of what it has made, and stops nothing. The loops must end, instead of turning as fast as they can.</summary>
    [Fact]
    public async Task DisposedWithoutAStop_ItEnds()
    {
        var log = new FakeLogger<LeaseKeeper>();
        using var keeper = new LeaseKeeper(_store, TimeProvider.System, log);
        await keeper.StartAsync(CancellationToken.None);

        keeper.Dispose();

        await Task.Delay(TimeSpan.FromSeconds(1)); // two ticks
        Assert.Empty(log.Collector.GetSnapshot());
        Assert.Empty(_store.Calls);
    }

    /// <summary>All of them are due, and the clock ticks once.</summary>
    private async Task TickUntilAsync(Func<bool> isDone)
    {
        if (_time.Timers == 0)
        {
            _time.Advance(Lease / 2);
            await _keeper.StartAsync(CancellationToken.None);
            await Eventually.TrueAsync(() => _time.Timers == 2, "both loops have their timers");
        }

        _time.Advance(Tick);
        await Eventually.TrueAsync(isDone, "they are renewed");
    }

    private sealed class CountedTimers : FakeTimeProvider
    {
        private int _timers;

        public int Timers => Volatile.Read(ref _timers);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            Interlocked.Increment(ref _timers);
            return timer;
        }
    }

    private sealed class RenewingStore : StoreStub
    {
        private int _atOnce;

        public bool IsAway { get; set; }

        public Ledger<int> Calls { get; } = new();

        public int MostAtOnce { get; private set; }

        public int Renewed { get; private set; }

        public override async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
        {
            MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _atOnce));
            Calls.Add(claims.Count);
            await Task.Yield();
            Interlocked.Decrement(ref _atOnce);
            if (IsAway)
            {
                throw new StoreUnavailableException("away");
            }

            Renewed += claims.Count;
            return [.. claims.Select(_ => WriteResult.Done)];
        }
    }
}
