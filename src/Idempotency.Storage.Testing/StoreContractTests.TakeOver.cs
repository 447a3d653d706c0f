using Xunit;

namespace Idempotency.Storage.Testing;

/// <summary>The part of the contract about attempts: who takes an uncertain key over, and what the owners of lower attempts may still write.</summary>
public abstract partial class StoreContractTests
{
    /// <summary>The attempt counts up, and the key is the new owner's.</summary>
    /// <param name="isMarked">Its owner said that it is uncertain; else its lease ran out.</param>
    [StoreTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TakeOver_OfAnUncertainKey_IsTheNextAttempt(bool isMarked)
    {
        var first = await UncertainAsync(isMarked);
        Assert.Equal(1, (await RetryAsync(first)).Attempt);
        var second = Duplicate(first) with { TakeOver = 1, Lease = Lease };

        var taken = await Store.ClaimAsync(second, default);
        var again = await Store.ClaimAsync(second, default);
        var duplicate = await RetryAsync(first);

        Assert.Equal((ClaimState.Claimed, 2), (taken.State, taken.Attempt));
        Assert.Equal((ClaimState.Claimed, 2), (again.State, again.Attempt));
        Assert.Equal((ClaimState.InProgress, 2), (duplicate.State, duplicate.Attempt));
        Assert.InRange(duplicate.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(second with { Attempt = 2 }, new byte[] { 2 }, default));
        Assert.Equal([2], (await RetryAsync(first)).Answer.ToArray());
    }

    /// <summary>From the mark, or from the end of the lease if that was before.</summary>
    /// <param name="isMarked">Its owner said so before its lease was over; else it says so afterwards.</param>
    [StoreTheory]
    [InlineData(false)]
    [InlineData(true)]
    public Task AnUncertainKey_TellsHowLongNothingOfItIsSent(bool isMarked) => SteadilyAsync(ShortLease, async () =>
    {
        var claim = await ClaimedAsync(ShortLease * 4);
        if (isMarked)
        {
            // Long before its lease is over; later marks do not make it younger.
            Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
            Assert.InRange((await RetryAsync(claim)).Age, TimeSpan.Zero, ShortLease * 2);
        }

        await AdvanceAsync(ShortLease * 5);
        Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
        var (found, watched) = (await RetryAsync(claim), await Store.WatchAsync(claim.Id, default));

        var least = isMarked ? ShortLease * 5 : ShortLease;
        Assert.InRange(found.Age, least - TimeSpan.FromMilliseconds(50), least + (ShortLease * 3));
        Assert.NotNull(watched);
        Assert.InRange(watched.Value.Age, found.Age, found.Age + ShortLease);
    });

    /// <summary>An attempt that ended just now may still be at work where its bytes are.</summary>
    [StoreFact]
    public Task WhatIsUncertainAgain_OrPutBackAsUncertain_IsYoung() => SteadilyAsync(ShortLease, async () =>
    {
        var first = await UncertainAsync();
        await AdvanceAsync(ShortLease * 4);
        var second = Duplicate(first) with { TakeOver = 1, Attempt = 2 };
        await Store.ClaimAsync(second, default);
        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(second, default));
        var lost = NewClaim();
        Assert.Equal(WriteResult.Recreated, await Store.MarkUncertainAsync(lost, default));

        Assert.InRange((await RetryAsync(first)).Age, TimeSpan.Zero, ShortLease * 3);
        Assert.InRange((await RetryAsync(lost)).Age, TimeSpan.Zero, ShortLease * 3);
    });

    /// <summary>Of many take-overs at the same time, one gets the key.</summary>
    [StoreFact]
    public async Task TakeOver_ByManyAtOnce_IsGivenToOne()
    {
        var first = await UncertainAsync();

        var results = await ClaimAtOnceAsync(100, _ => Store, () => Duplicate(first) with { TakeOver = 1 });

        Assert.Single(results, result => result.State == ClaimState.Claimed);
    }

    /// <summary>Only the attempt that is named, only the same request, and only what is uncertain.</summary>
    [StoreFact]
    public async Task TakeOver_ThatDoesNotMatch_ChangesNothing()
    {
        var (first, running, settled) = (await UncertainAsync(), await ClaimedAsync(), await SettledAsync());

        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 2 }, default)).State);
        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1, Fingerprint = NewFingerprint() }, default)).State);
        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(running) with { TakeOver = 1 }, default)).State);
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(settled) with { TakeOver = 1 }, default)).State);
        var fresh = await Store.ClaimAsync(NewClaim() with { TakeOver = 1 }, default);
        Assert.Equal((ClaimState.Claimed, 1), (fresh.State, fresh.Attempt));
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1 }, default)).State);
    }

    /// <summary>The retention goes on, but the record outlives its claim.</summary>
    [StoreFact]
    public Task TakeOver_LeavesTheExpiry_ButNeverEndsBeforeItsLease() => SteadilyAsync(ShortLease, async () =>
    {
        var first = await ClaimedAsync(NewClaim() with { Lease = ShortLease, Retention = ShortLease * 4 });
        await Store.MarkUncertainAsync(first, default);
        var longer = await ClaimedAsync(NewClaim() with { Lease = ShortLease, Retention = ShortLease * 4 });
        await Store.MarkUncertainAsync(longer, default);

        await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1, Retention = Retention }, default);
        await Store.ClaimAsync(Duplicate(longer) with { TakeOver = 1, Lease = ShortLease * 20, Retention = Retention }, default);
        await AdvanceAsync(ShortLease * 5);

        Assert.Null(await Store.WatchAsync(first.Id, default));
        Assert.Equal(ClaimState.InProgress, (await Store.WatchAsync(longer.Id, default))?.State);
    });

    /// <summary>The higher attempt wins: an owner that was away writes nothing, before and after the other's settlement.</summary>
    [StoreFact]
    public async Task AnOwnerThatWasTakenOver_WritesNothing()
    {
        var first = await UncertainAsync();
        var second = Duplicate(first) with { TakeOver = 1, Lease = Lease, Attempt = 2 };
        await Store.ClaimAsync(second, default);

        Assert.Equal(WriteResult.TakenOver, await Store.SettleAsync(first, new byte[] { 1 }, default));
        Assert.Equal(WriteResult.TakenOver, await Store.MarkUncertainAsync(first, default));
        Assert.Equal(WriteResult.TakenOver, await Store.ReleaseAsync(first, default));
        Assert.Equal([WriteResult.TakenOver], await Store.RenewAsync([first], default));

        Assert.Equal(ClaimState.InProgress, (await Store.WatchAsync(first.Id, default))?.State);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(second, new byte[] { 2 }, default));
        Assert.Equal(WriteResult.TakenOver, await Store.SettleAsync(first, new byte[] { 1 }, default));
        Assert.Equal([2], (await RetryAsync(first)).Answer.ToArray());
    }

    /// <summary>The first attempt may have been executed: the key is not free.</summary>
    [StoreFact]
    public async Task Release_AfterATakeOver_IsUncertainAgain_BecauseTheFirstAttemptMayHaveRun()
    {
        var first = await UncertainAsync();
        var second = Duplicate(first) with { TakeOver = 1 };
        await Store.ClaimAsync(second, default);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(second, default));

        var found = await RetryAsync(first);
        Assert.Equal((ClaimState.Uncertain, 2), (found.State, found.Attempt));
        Assert.Equal(3, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 2 }, default)).Attempt);
    }

    /// <summary>A store that lost the take-over has the lower attempt again, which is over.</summary>
    [StoreFact]
    public async Task ATakeOverThatTheStoreLost_IsPutBack_OverTheLowerAttempt()
    {
        var first = await UncertainAsync();
        var second = Duplicate(first) with { Attempt = 2 };

        Assert.Equal([WriteResult.Recreated], await Store.RenewAsync([second], default));

        var found = await Store.WatchAsync(first.Id, default);
        Assert.Equal((ClaimState.InProgress, 2), (found?.State, found?.Attempt));
        Assert.Equal(WriteResult.TakenOver, await Store.SettleAsync(first, new byte[] { 1 }, default));
    }

    /// <summary>What is put back is whole.</summary>
    [StoreFact]
    public async Task WritesThatPutBack_RestoreAttemptAndProbe()
    {
        var (settled, uncertain, renewed) = (NewClaim() with { Attempt = 2 }, WithProbe(3), WithProbe(4) with { Lease = ShortLease });
        await Store.SettleAsync(settled, new byte[] { 1 }, default);
        await Store.MarkUncertainAsync(uncertain, default);
        await Store.RenewAsync([renewed], default);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(2, (await Store.WatchAsync(settled.Id, default))?.Attempt);
        var found = await FindAllAsync(uncertain, renewed);
        Assert.Equal(3, found[uncertain.Id].Attempt);
        Assert.Equal(4, found[renewed.Id].Attempt);
        Assert.Equal(renewed.Probe.ToArray(), found[renewed.Id].Probe.ToArray());
    }
}
