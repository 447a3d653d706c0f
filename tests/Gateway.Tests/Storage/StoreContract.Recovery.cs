using System.Collections.Concurrent;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>The part of the contract that recovery builds on: take-over, watching, locks, the sweeper's list and the operator's delete.</summary>
public abstract partial class StoreContract
{
    /// <summary>Of a walk: so few that a round has several, so many that it ends soon where other tests have left records.</summary>
    private const int Part = 40;

    private static readonly TimeSpan LongLease = TimeSpan.FromMinutes(10);

    [StoreTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TakeOver_OfAnUncertainKey_IsTheNextAttempt(bool isMarked)
    {
        var first = await UncertainAsync(isMarked);
        Assert.Equal(1, (await Store.ClaimAsync(Duplicate(first), default)).Attempt);
        var second = Duplicate(first) with { TakeOver = 1, Lease = Lease };

        var taken = await Store.ClaimAsync(second, default);
        var again = await Store.ClaimAsync(second, default);
        var duplicate = await Store.ClaimAsync(Duplicate(first), default);

        Assert.Equal((ClaimState.Claimed, 2), (taken.State, taken.Attempt));
        Assert.Equal((ClaimState.Claimed, 2), (again.State, again.Attempt));
        Assert.Equal((ClaimState.InProgress, 2), (duplicate.State, duplicate.Attempt));
        Assert.InRange(duplicate.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(second with { Attempt = 2 }, new byte[] { 2 }, default));
        Assert.Equal([2], (await Store.ClaimAsync(Duplicate(first), default)).Answer.ToArray());
    }

    [StoreTheory]
    [InlineData(false)]
    [InlineData(true)]
    public Task AnUncertainKey_TellsHowLongNothingOfItIsSent(bool isMarked) => SteadilyAsync(ShortLease, async () =>
    {
        var claim = NewClaim() with { Lease = ShortLease * 4 };
        await Store.ClaimAsync(claim, default);
        if (isMarked)
        {
            // Long before its lease is over; later marks do not make it younger.
            Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
            Assert.InRange((await Store.ClaimAsync(Duplicate(claim), default)).Age, TimeSpan.Zero, ShortLease * 2);
        }

        await AdvanceAsync(ShortLease * 5);
        Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
        var (found, watched) = (await Store.ClaimAsync(Duplicate(claim), default), await Store.WatchAsync(claim.Id, default));

        var least = isMarked ? ShortLease * 5 : ShortLease;
        Assert.InRange(found.Age, least - TimeSpan.FromMilliseconds(50), least + (ShortLease * 3));
        Assert.InRange(watched!.Value.Age, found.Age, found.Age + ShortLease);
    });

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

        Assert.InRange((await Store.ClaimAsync(Duplicate(first), default)).Age, TimeSpan.Zero, ShortLease * 3);
        Assert.InRange((await Store.ClaimAsync(Duplicate(lost), default)).Age, TimeSpan.Zero, ShortLease * 3);
    });

    [StoreFact]
    public async Task TakeOver_ByManyAtOnce_IsGivenToOne()
    {
        var first = await UncertainAsync();

        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Store.ClaimAsync(Duplicate(first) with { TakeOver = 1 }, default).AsTask()));

        Assert.Single(results, result => result.State == ClaimState.Claimed);
    }

    [StoreFact]
    public async Task TakeOver_ThatDoesNotMatch_ChangesNothing()
    {
        var first = await UncertainAsync();
        var running = await ClaimedAsync();
        var settled = await ClaimedAsync();
        await Store.SettleAsync(settled, new byte[] { 1 }, default);

        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 2 }, default)).State);
        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1, Fingerprint = NewFingerprint() }, default)).State);
        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(running) with { TakeOver = 1 }, default)).State);
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(settled) with { TakeOver = 1 }, default)).State);
        Assert.Equal((ClaimState.Claimed, 1), await Store.ClaimAsync(NewClaim() with { TakeOver = 1 }, default) is var fresh ? (fresh.State, fresh.Attempt) : default);
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1 }, default)).State);
    }

    [StoreFact]
    public Task TakeOver_LeavesTheExpiry_ButNeverEndsBeforeItsLease() => SteadilyAsync(ShortLease, async () =>
    {
        var first = NewClaim() with { Lease = ShortLease, Retention = ShortLease * 4 };
        await Store.ClaimAsync(first, default);
        await Store.MarkUncertainAsync(first, default);
        var longer = NewClaim() with { Lease = ShortLease, Retention = ShortLease * 4 };
        await Store.ClaimAsync(longer, default);
        await Store.MarkUncertainAsync(longer, default);

        await Store.ClaimAsync(Duplicate(first) with { TakeOver = 1, Retention = Retention }, default);
        await Store.ClaimAsync(Duplicate(longer) with { TakeOver = 1, Lease = ShortLease * 20, Retention = Retention }, default);
        await AdvanceAsync(ShortLease * 5);

        Assert.Null(await Store.WatchAsync(first.Id, default));
        Assert.Equal(ClaimState.InProgress, (await Store.WatchAsync(longer.Id, default))?.State);
    });

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
    }

    [StoreFact]
    public async Task Release_AfterATakeOver_IsUncertainAgain_BecauseTheFirstAttemptMayHaveRun()
    {
        var first = await UncertainAsync();
        var second = Duplicate(first) with { TakeOver = 1 };
        await Store.ClaimAsync(second, default);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(second, default));

        var found = await Store.ClaimAsync(Duplicate(first), default);
        Assert.Equal((ClaimState.Uncertain, 2), (found.State, found.Attempt));
        Assert.Equal(3, (await Store.ClaimAsync(Duplicate(first) with { TakeOver = 2 }, default)).Attempt);
    }

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

    [StoreFact]
    public async Task Watch_TellsWhatIsOnRecord_AndClaimsNothing()
    {
        var claim = NewClaim();
        Assert.Null(await Store.WatchAsync(claim.Id, default));
        await Store.ClaimAsync(claim, default);

        var running = await Store.WatchAsync(claim.Id, default);
        await Store.SettleAsync(claim, new byte[] { 9 }, default);
        var settled = await Store.WatchAsync(claim.Id, default);

        Assert.Equal((ClaimState.InProgress, claim.Fingerprint, 1), (running!.Value.State, running.Value.Fingerprint, running.Value.Attempt));
        Assert.InRange(running.Value.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
        Assert.Equal((ClaimState.Settled, 9), (settled!.Value.State, settled.Value.Answer.Span[0]));
    }

    [StoreFact]
    public async Task EveryEndOfAWatchedClaim_IsAnnounced_AndNoOther()
    {
        var heard = new ConcurrentQueue<RecordId>();
        Store.Changed += heard.Enqueue;
        var claims = new List<ClaimRequest>();
        for (var i = 0; i < 5; i++)
        {
            claims.Add(await ClaimedAsync(i == 3 ? ShortLease : Lease));
            if (i < 4)
            {
                await Store.WatchAsync(claims[i].Id, default);
            }
        }

        await Store.SettleAsync(claims[4], new byte[] { 1 }, default); // not watched
        await Store.SettleAsync(claims[0], new byte[] { 1 }, default);
        await Store.MarkUncertainAsync(claims[1], default);
        await Store.ReleaseAsync(claims[2], default);
        await AdvanceAsync(ShortLease * 2);
        Assert.True(await Store.ForgetAsync(claims[3].Id, default));

        await Eventually.TrueAsync(() => claims.Take(4).All(claim => heard.Contains(claim.Id)), "four ends are heard");
        Assert.DoesNotContain(claims[4].Id, heard);
    }

    [StoreFact]
    public async Task ALock_IsAClaimWhoseRetentionIsItsLease()
    {
        var held = NewLock(Lease);
        await Store.ClaimAsync(held, default);
        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(held), default)).State);
        var heard = new ConcurrentQueue<RecordId>();
        Store.Changed += heard.Enqueue;
        await Store.WatchAsync(held.Id, default);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(held, default));

        await Eventually.TrueAsync(() => heard.Contains(held.Id), "the release wakes who waits");
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(held), default)).State);
    }

    [StoreFact]
    public async Task ALock_IsRenewed_AndFreeWhenItLapses()
    {
        var (renewed, lapsed) = (NewLock(ShortLease), NewLock(ShortLease));
        await Store.ClaimAsync(renewed, default);
        await Store.ClaimAsync(lapsed, default);
        await Store.RenewAsync([renewed with { Lease = ShortLease * 20, Retention = ShortLease * 20 }], default);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(renewed), default)).State);
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(lapsed) with { Lease = Lease, Retention = Lease }, default)).State);
        Assert.Equal([WriteResult.Foreign], await Store.RenewAsync([lapsed], default));
        Assert.Equal(WriteResult.Foreign, await Store.ReleaseAsync(lapsed, default));
    }

    [StoreFact]
    public async Task ALockThatLapsed_ComesBackByItsHoldersRenewal_WhenNobodyTookIt()
    {
        var held = NewLock(ShortLease);
        await Store.ClaimAsync(held, default);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal([WriteResult.Recreated], await Store.RenewAsync([held with { Lease = Lease, Retention = Lease }], default));
        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(held), default)).State);
    }

    [StoreFact]
    public async Task FindUncertain_ReachesEveryUncertainRecordWithAProbe_AndNoOther()
    {
        var marked = await ProbedAsync(Lease);
        await Store.MarkUncertainAsync(marked, default);
        var lapsed = await ProbedAsync(ShortLease);
        var withoutProbe = await UncertainAsync();
        var settled = await ProbedAsync(ShortLease);
        await Store.SettleAsync(settled, new byte[] { 1 }, default);
        var released = await ProbedAsync(ShortLease);
        await Store.ReleaseAsync(released, default);
        var forgotten = await ProbedAsync(Lease);
        await Store.MarkUncertainAsync(forgotten, default);
        await Store.ForgetAsync(forgotten.Id, default);
        var running = await ProbedAsync(ShortLease);
        await AdvanceAsync(ShortLease * 2);
        await Store.RenewAsync([running with { Lease = Lease }], default);

        var found = await FindAllAsync(marked, lapsed);

        Assert.DoesNotContain(found.Keys, id => id == withoutProbe.Id || id == settled.Id || id == released.Id || id == forgotten.Id || id == running.Id);
        var record = found[lapsed.Id];
        Assert.Equal((lapsed.Fingerprint, 1), (record.Fingerprint, record.Attempt));
        Assert.Equal(lapsed.Probe.ToArray(), record.Probe.ToArray());
        Assert.InRange(record.Rest, Retention / 2, Retention);
    }

    [StoreFact]
    public async Task FindUncertain_KeepsTheProbeOfATakeOver_AndReachesWhatStaysUncertain()
    {
        // More in one bucket than a call returns.
        var claims = Enumerable.Range(0, 7).Select(_ => WithProbe(1)).Select(claim => claim with { Id = new RecordId(claim.Id.Digest with { A = 7 }) }).ToArray();
        foreach (var claim in claims)
        {
            await Store.ClaimAsync(claim, default);
            await Store.MarkUncertainAsync(claim, default);
        }

        var second = Duplicate(claims[0]) with { TakeOver = 1, Lease = ShortLease, Probe = default };
        await Store.ClaimAsync(second, default);
        await AdvanceAsync(ShortLease * 2);

        var found = await FindAllAsync(claims);
        Assert.Equal(2, found[claims[0].Id].Attempt);
        Assert.Equal(claims[0].Probe.ToArray(), found[claims[0].Id].Probe.ToArray());
    }

    [StoreFact]
    public async Task WalkUncertain_ReachesEveryUncertainRecord_AndNoOther()
    {
        var (marked, lapsed, withProbe) = (await UncertainAsync(), await ClaimedAsync(ShortLease), await ProbedAsync(ShortLease));
        var settled = await ClaimedAsync(ShortLease);
        await Store.SettleAsync(settled, new byte[] { 1 }, default);
        var released = await ClaimedAsync(ShortLease);
        await Store.ReleaseAsync(released, default);
        var forgotten = await UncertainAsync();
        await Store.ForgetAsync(forgotten.Id, default);
        var (running, renewed) = (await ClaimedAsync(LongLease), await ClaimedAsync(ShortLease));
        var taken = await UncertainAsync();
        await Store.ClaimAsync(Duplicate(taken) with { TakeOver = 1, Lease = LongLease }, default);
        var held = NewLock(ShortLease);
        await Store.ClaimAsync(held, default);
        var others = await Task.WhenAll(Enumerable.Range(0, 2 * Part).Select(_ => UncertainAsync()));
        await AdvanceAsync(ShortLease * 2);
        await Store.RenewAsync([renewed with { Lease = LongLease }], default);

        for (var rounds = 0; rounds < 2; rounds++)
        {
            var found = await WalkAsync();

            Assert.Equal((true, false, false), (found[marked.Id].IsMarked, found[lapsed.Id].IsMarked, found[withProbe.Id].IsMarked));
            Assert.All(others, claim => Assert.True(found[claim.Id].IsMarked));
            Assert.All([marked, lapsed, withProbe], claim => Assert.InRange(found[claim.Id].Age, TimeSpan.Zero, TimeSpan.FromMinutes(5)));
            Assert.All([settled, released, forgotten, running, renewed, taken, held], claim => Assert.DoesNotContain(claim.Id, found.Keys));
        }
    }

    [StoreFact]
    public async Task Forget_DeletesWhatHasEnded_AndNoRunningClaim()
    {
        var settled = await ClaimedAsync();
        await Store.SettleAsync(settled, new byte[] { 1 }, default);
        var uncertain = await UncertainAsync();
        var running = await ClaimedAsync();

        Assert.True(await Store.ForgetAsync(settled.Id, default));
        Assert.True(await Store.ForgetAsync(uncertain.Id, default));
        Assert.False(await Store.ForgetAsync(running.Id, default));
        Assert.False(await Store.ForgetAsync(settled.Id, default));
        Assert.False(await Store.ForgetAsync(NewClaim().Id, default));

        Assert.Null(await Store.WatchAsync(settled.Id, default));
        var found = await Store.ClaimAsync(Duplicate(uncertain) with { Fingerprint = NewFingerprint() }, default);
        Assert.Equal((ClaimState.Claimed, 1), (found.State, found.Attempt));
        Assert.Equal(ClaimState.InProgress, (await Store.WatchAsync(running.Id, default))?.State);
    }

    [StoreFact]
    public async Task Forget_KeepsLateWritesOfTheOwnerOut()
    {
        var first = await UncertainAsync();
        await Store.ForgetAsync(first.Id, default);

        Assert.Equal(WriteResult.TakenOver, await Store.SettleAsync(first, new byte[] { 1 }, default));
        Assert.Equal([WriteResult.TakenOver], await Store.RenewAsync([first], default));
        Assert.Null(await Store.WatchAsync(first.Id, default));

        await Store.ClaimAsync(Duplicate(first), default);
        Assert.Equal(WriteResult.Foreign, await Store.SettleAsync(first, new byte[] { 1 }, default));
    }

    [StoreFact]
    public async Task Forget_KeepsTheOwnerOfALaterAttemptOut_WhenTheKeyIsClaimedAgain()
    {
        var first = await UncertainAsync();
        var second = Duplicate(first) with { TakeOver = 1, Attempt = 2 };
        await Store.ClaimAsync(second, default);
        await Store.MarkUncertainAsync(second, default);
        await Store.ForgetAsync(first.Id, default);

        var anew = Duplicate(first) with { Fingerprint = NewFingerprint() };
        var claimed = await Store.ClaimAsync(anew, default);

        Assert.Equal((ClaimState.Claimed, 2), (claimed.State, claimed.Attempt));
        Assert.Equal(WriteResult.Foreign, await Store.SettleAsync(second, new byte[] { 1 }, default));
        Assert.Equal([WriteResult.Foreign], await Store.RenewAsync([second], default));
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(anew with { Attempt = claimed.Attempt }, new byte[] { 2 }, default));
    }

    [StoreFact]
    public async Task Forget_IsAnnounced()
    {
        var heard = new ConcurrentQueue<RecordId>();
        Store.Forgotten += heard.Enqueue;
        var claim = await UncertainAsync();

        await Store.ForgetAsync(claim.Id, default);

        await Eventually.TrueAsync(() => heard.Contains(claim.Id), "the deletion is heard");
    }

    private static ClaimRequest NewLock(TimeSpan lease) => NewClaim() with { Lease = lease, Retention = lease };

    private static ClaimRequest WithProbe(int attempt) => NewClaim() with { Attempt = attempt, Probe = new byte[] { 0, 255, (byte)attempt } };

    private async Task<ClaimRequest> ProbedAsync(TimeSpan lease)
    {
        var claim = WithProbe(1) with { Lease = lease };
        await Store.ClaimAsync(claim, default);
        return claim;
    }

    private async Task<ClaimRequest> UncertainAsync(bool isMarked = true)
    {
        var claim = await ClaimedAsync(isMarked ? Lease : ShortLease);
        await (isMarked ? Store.MarkUncertainAsync(claim, default).AsTask() : AdvanceAsync(ShortLease * 2));
        return claim;
    }

    /// <summary>One round; before it, the round that is under way ends, if one is.</summary>
    internal async Task<IReadOnlyDictionary<RecordId, UncertainMark>> WalkAsync()
    {
        while (!(await Store.WalkUncertainAsync(Part, default)).IsLast)
        {
        }

        var found = new Dictionary<RecordId, UncertainMark>();
        for (var isFirst = true; ; isFirst = false)
        {
            var part = await Store.WalkUncertainAsync(Part, default);
            Assert.Equal(isFirst, part.IsFirst);
            foreach (var mark in part.Found)
            {
                found[mark.Id] = mark;
            }

            if (part.IsLast)
            {
                return found;
            }
        }
    }

    /// <summary>Calls until all of these are found; other tests may leave records in the same store.</summary>
    private async Task<Dictionary<RecordId, UncertainRecord>> FindAllAsync(params ClaimRequest[] claims)
    {
        var found = new Dictionary<RecordId, UncertainRecord>();
        await Eventually.TrueAsync(
            async () =>
            {
                foreach (var record in await Store.FindUncertainAsync(3, default))
                {
                    found[record.Id] = record;
                }

                return claims.All(claim => found.ContainsKey(claim.Id));
            },
            "every uncertain record is found");
        return found;
    }
}
