using System.Collections.Concurrent;
using System.Security.Cryptography;
using Xunit;
using Xunit.Sdk;

namespace Idempotency.Storage.Testing;

/// <summary>
/// What every store must do (<see cref="IIdempotencyStore"/>), as tests. Derive a class, and open your store in <see cref="OpenAsync"/>; xunit finds the tests by
/// itself. Each works on keys of its own, so that the records of earlier tests and runs may be there.
/// <para>
/// What they cannot see: that acknowledged writes survive a power loss and a failover, and that calls end in time while the server hangs. A store that may run where
/// these happen needs tests of its own for them.
/// </para>
/// </summary>
public abstract partial class StoreContractTests : IAsyncLifetime
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Retention = TimeSpan.FromHours(24);

    private TimeSpan _advanced;

    /// <summary>The store under test, opened before each test and closed after it.</summary>
    protected IIdempotencyStore Store { get; private set; } = null!;

    /// <summary>
    /// A lease that is over soon. Where <see cref="WaitAsync"/> really waits, short, but long enough for several calls to end within it; where it moves a clock, as long
    /// as you like.
    /// </summary>
    protected virtual TimeSpan ShortLease => TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// How many random histories run at the same time, each of forty calls one after the other. Fewer for a slow store: where <see cref="WaitAsync"/> really waits, all calls
    /// together must not take longer than a second.
    /// </summary>
    protected virtual int HistoryCount => 40;

    /// <summary>How long to wait for what the store does in its own time: announcements, and finding what is uncertain. Only a test that fails waits so long.</summary>
    protected virtual TimeSpan Patience => TimeSpan.FromSeconds(30);

    /// <summary>A claim of a new key: a lease of 30 seconds, a retention of a day, nothing that other tests know.</summary>
    public static ClaimRequest NewClaim() => new(NewId(), new ClaimToken(Guid.NewGuid()), NewFingerprint(), Lease, Retention);

    /// <summary>The claim of a retry: the same in everything but the token.</summary>
    /// <param name="claim">Of the first request.</param>
    public static ClaimRequest Duplicate(ClaimRequest claim) => claim with { Token = new ClaimToken(Guid.NewGuid()) };

    /// <summary>Opens the store.</summary>
    public async Task InitializeAsync() => Store = await OpenAsync(TimeProvider.System);

    /// <summary>Closes the store.</summary>
    public virtual async Task DisposeAsync() => await Store.DisposeAsync();

    /// <summary>
    /// Opens the store, ready for use, as one gateway process does. All that are opened for one test have the same records: some tests need a second instance.
    /// </summary>
    /// <param name="clock">
    /// What this process takes for the time. Not for the store's time: leases are judged by the clock that all instances share, such as its server's. A store that only
    /// serves processes of one machine has the machine's, and ignores this.
    /// </param>
    protected abstract Task<IIdempotencyStore> OpenAsync(TimeProvider clock);

    /// <summary>Returns when the store's clock went on by that much, or a little more: waits, or moves the clock where that can be done.</summary>
    /// <param name="time">At least that much.</param>
    protected virtual Task WaitAsync(TimeSpan time) => Task.Delay(time + TimeSpan.FromMilliseconds(20));

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    private static Fingerprint NewFingerprint() => new(1, Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    private static ClaimRequest NewLock(TimeSpan lease) => NewClaim() with { Lease = lease, Retention = lease };

    private static ClaimRequest WithProbe(int attempt) => NewClaim() with { Attempt = attempt, Probe = new byte[] { 0, 255, (byte)attempt } };

    private async Task<ClaimRequest> ClaimedAsync(TimeSpan? lease = null) => await ClaimedAsync(NewClaim() with { Lease = lease ?? Lease });

    private async Task<ClaimRequest> ClaimedAsync(ClaimRequest claim)
    {
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(claim, default)).State);
        return claim;
    }

    private async Task<ClaimRequest> SettledAsync(TimeSpan? lease = null)
    {
        var claim = await ClaimedAsync(lease);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 1 }, default));
        return claim;
    }

    private async Task<ClaimRequest> UncertainAsync(bool isMarked = true)
    {
        var claim = await ClaimedAsync(isMarked ? Lease : ShortLease);
        await (isMarked ? Store.MarkUncertainAsync(claim, default).AsTask() : AdvanceAsync(ShortLease * 2));
        return claim;
    }

    /// <summary>What a retry finds.</summary>
    private async Task<ClaimResult> RetryAsync(ClaimRequest claim) => await Store.ClaimAsync(Duplicate(claim), default);

    /// <summary>At the same time, from threads of the pool: a store must not rely on its callers' order.</summary>
    private static Task<ClaimResult[]> ClaimAtOnceAsync(int count, Func<int, IIdempotencyStore> store, Func<ClaimRequest> claim) =>
        Task.WhenAll(Enumerable.Range(0, count).Select(i => Task.Run(() => store(i).ClaimAsync(claim(), default).AsTask())));

    /// <summary>What the store announces from now on.</summary>
    private ConcurrentQueue<RecordId> HearChanges()
    {
        var heard = new ConcurrentQueue<RecordId>();
        Store.Changed += heard.Enqueue;
        return heard;
    }

    /// <summary>Lets the store's clock advance.</summary>
    private async Task AdvanceAsync(TimeSpan by)
    {
        await WaitAsync(by);
        _advanced += by;
    }

    /// <summary>
    /// Runs a test that says how long things take. Where the store's clock is real, a machine that stalls makes it void, and it is run again;
    /// a true failure is there again.
    /// </summary>
    /// <param name="slack">How much longer than what was waited for it may take without a stall.</param>
    /// <param name="test">On keys of its own.</param>
    private async Task SteadilyAsync(TimeSpan slack, Func<Task> test)
    {
        for (var tries = 1; ; tries++)
        {
            _advanced = default;
            var started = TimeProvider.System.GetTimestamp();
            try
            {
                await test();
                return;
            }
            catch (Exception e) when (e is XunitException or StoreUnavailableException && tries < 3 && TimeProvider.System.GetElapsedTime(started) - _advanced > slack)
            {
            }
        }
    }

    private async Task EventuallyAsync(Func<Task<bool>> condition, string what)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Patience, $"not within {Patience}: {what}");
            await Task.Delay(20);
        }
    }

    private Task EventuallyAsync(Func<bool> condition, string what) => EventuallyAsync(() => Task.FromResult(condition()), what);
}
