using Xunit;

namespace Idempotency.Storage.Testing;

/// <summary>The part of the contract about time: leases, locks, retention and whose clock it is.</summary>
public abstract partial class StoreContractTests
{
    private static readonly TimeSpan HistoryLease = TimeSpan.FromSeconds(2);

    /// <summary>Nobody may run what an owner that is silent may have run; and the owner may still say how it ended.</summary>
    [StoreFact]
    public async Task Lease_ThatRanOut_ReadsAsUncertain_NeverAsFree()
    {
        var claim = await ClaimedAsync(ShortLease);

        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(ClaimState.Uncertain, (await RetryAsync(claim)).State);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 1 }, default));
        Assert.Equal(ClaimState.Settled, (await RetryAsync(claim)).State);
    }

    /// <summary>Processes whose clocks are wrong by an hour see the same.</summary>
    /// <param name="minutes">How far ahead the clock of the process is.</param>
    [StoreTheory]
    [InlineData(-60)]
    [InlineData(60)]
    public async Task Lease_IsJudgedByTheStoresClock_NotByThatOfTheProcess(int minutes)
    {
        await using var wrong = await OpenAsync(new GatewayClock(TimeSpan.FromMinutes(minutes)));
        var (ours, theirs) = (NewClaim(), NewClaim());
        await Store.ClaimAsync(ours, default);
        await wrong.ClaimAsync(theirs, default);
        var (lapsing, short1, short2) = (ShortLease * 2, NewClaim() with { Lease = ShortLease }, NewClaim() with { Lease = ShortLease });
        await Store.ClaimAsync(short1, default);
        await wrong.ClaimAsync(short2, default);

        var found = (ClaimResult[])[await wrong.ClaimAsync(Duplicate(ours), default), await Store.ClaimAsync(Duplicate(theirs), default)];
        await AdvanceAsync(lapsing);
        var lapsed = (ClaimResult[])[await wrong.ClaimAsync(Duplicate(short1), default), await Store.ClaimAsync(Duplicate(short2), default)];

        Assert.All(found, it => Assert.Equal(ClaimState.InProgress, it.State));
        Assert.All(found, it => Assert.InRange(it.Remaining, Lease - TimeSpan.FromSeconds(10), Lease));
        Assert.All(lapsed, it => Assert.Equal(ClaimState.Uncertain, it.State));
        Assert.All(lapsed, it => Assert.InRange(it.Age, TimeSpan.Zero, lapsing + TimeSpan.FromSeconds(10)));
    }

    /// <summary>An owner that was away, and knows that it sent nothing.</summary>
    [StoreFact]
    public async Task Release_AfterTheLease_ByTheOwnerThatNeverSent_FreesTheKey()
    {
        var claim = await ClaimedAsync(ShortLease);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(claim, default));
        Assert.Equal(ClaimState.Claimed, (await RetryAsync(claim)).State);
    }

    /// <summary>A renewal restarts the lease, also one that was over.</summary>
    [StoreFact]
    public async Task Renew_RestartsTheLease()
    {
        var claim = await ClaimedAsync(ShortLease);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal([WriteResult.Done], await Store.RenewAsync([claim with { Lease = Lease }], default));

        var found = await RetryAsync(claim);
        Assert.Equal(ClaimState.InProgress, found.State);
        Assert.InRange(found.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
    }

    /// <summary>Results stand in the order of the claims.</summary>
    [StoreFact]
    public async Task Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone()
    {
        var (lost, settled, uncertain, running) = (NewClaim(), await SettledAsync(), await UncertainAsync(), await ClaimedAsync());

        var results = await Store.RenewAsync([lost, settled, Duplicate(running), uncertain, running], default);

        Assert.Equal([WriteResult.Recreated, WriteResult.Settled, WriteResult.Foreign, WriteResult.Settled, WriteResult.Done], results);
        Assert.Equal(ClaimState.InProgress, (await RetryAsync(lost)).State);
        Assert.Equal(ClaimState.Settled, (await RetryAsync(settled)).State);
        Assert.Equal(ClaimState.Uncertain, (await RetryAsync(uncertain)).State);
    }

    /// <summary>The retention counts from the claim: neither the settlement nor duplicates move it. Then the key is free.</summary>
    [StoreFact]
    public Task Retention_Over_FreesTheKey_AndDuplicatesDoNotExtendIt() => SteadilyAsync(ShortLease, async () =>
    {
        var retention = ShortLease * 4;
        var claim = await ClaimedAsync(NewClaim() with { Lease = ShortLease, Retention = retention });

        await AdvanceAsync(retention / 2);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 1 }, default));
        await AdvanceAsync(retention / 4);
        var found = await RetryAsync(claim);
        Assert.Equal(ClaimState.Settled, found.State);
        Assert.InRange(found.Remaining, TimeSpan.Zero, retention / 4);
        await AdvanceAsync(retention / 2);

        Assert.Null(await Store.WatchAsync(claim.Id, default));
        Assert.Equal(ClaimState.Claimed, (await RetryAsync(claim)).State);
    });

    /// <summary>A lock is held, and its release wakes who waits.</summary>
    [StoreFact]
    public async Task ALock_IsAClaimWhoseRetentionIsItsLease()
    {
        var held = await ClaimedAsync(NewLock(Lease));
        Assert.Equal(ClaimState.InProgress, (await RetryAsync(held)).State);
        var heard = HearChanges();
        await Store.WatchAsync(held.Id, default);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(held, default));

        await EventuallyAsync(() => heard.Contains(held.Id), "the release wakes who waits");
        Assert.Equal(ClaimState.Claimed, (await RetryAsync(held)).State);
    }

    /// <summary>A lock that is not renewed is absent, not uncertain, and another's as soon as it is taken.</summary>
    [StoreFact]
    public async Task ALock_IsRenewed_AndFreeWhenItLapses()
    {
        var (renewed, lapsed) = (await ClaimedAsync(NewLock(ShortLease)), await ClaimedAsync(NewLock(ShortLease)));
        await Store.RenewAsync([renewed with { Lease = ShortLease * 20, Retention = ShortLease * 20 }], default);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(ClaimState.InProgress, (await RetryAsync(renewed)).State);
        Assert.Null(await Store.WatchAsync(lapsed.Id, default));
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(lapsed) with { Lease = Lease, Retention = Lease }, default)).State);
        Assert.Equal([WriteResult.Foreign], await Store.RenewAsync([lapsed], default));
        Assert.Equal(WriteResult.Foreign, await Store.ReleaseAsync(lapsed, default));
    }

    /// <summary>A lock that lapsed, and that nobody took, is its holder's again.</summary>
    [StoreFact]
    public async Task ALockThatLapsed_ComesBackByItsHoldersRenewal_WhenNobodyTookIt()
    {
        var held = await ClaimedAsync(NewLock(ShortLease));
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal([WriteResult.Recreated], await Store.RenewAsync([held with { Lease = Lease, Retention = Lease }], default));
        Assert.Equal(ClaimState.InProgress, (await RetryAsync(held)).State);
    }

    /// <summary>Random calls of several owners on two keys, each compared with a model of the contract.</summary>
    [StoreFact]
    public Task RandomHistories_AgreeWithTheModel() => SteadilyAsync(HistoryLease / 2, async () =>
    {
        // The step lies between the lease and twice the lease, the retention between two steps and three: no comparison is close.
        var (step, retention) = (HistoryLease * 1.5, HistoryLease * 3.75);
        var histories = Enumerable.Range(1, HistoryCount).Select(seed => new RandomHistory(seed, HistoryLease, retention)).ToList();
        for (var steps = 0; steps < 4; steps++)
        {
            var differences = await Task.WhenAll(histories.Select(history => history.RunAsync(Store, 10)));
            Assert.DoesNotContain(differences, difference => difference is not null);
            await AdvanceAsync(step);
            histories.ForEach(history => history.Step(step));
        }
    });
}
