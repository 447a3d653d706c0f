using System.Collections.Concurrent;
using Xunit;

namespace Idempotency.Storage.Testing;

/// <summary>The part of the contract for those who wait, sweep and operate: watching, what is uncertain, the operator's delete.</summary>
public abstract partial class StoreContractTests
{
    /// <summary>Of a walk: so few that a round has several, so many that it ends soon where other tests have left records.</summary>
    private const int Part = 40;

    private static readonly TimeSpan LongLease = TimeSpan.FromMinutes(10);

    /// <summary>Looking takes nothing.</summary>
    [StoreFact]
    public async Task Watch_TellsWhatIsOnRecord_AndClaimsNothing()
    {
        var claim = NewClaim();
        Assert.Null(await Store.WatchAsync(claim.Id, default));
        await ClaimedAsync(claim);

        var running = await Store.WatchAsync(claim.Id, default);
        await Store.SettleAsync(claim, new byte[] { 9 }, default);
        var settled = await Store.WatchAsync(claim.Id, default);

        Assert.Equal((ClaimState.InProgress, claim.Fingerprint, 1), (running?.State, running?.Fingerprint, running?.Attempt));
        Assert.InRange(running!.Value.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
        Assert.Equal(ClaimState.Settled, settled?.State);
        Assert.Equal([9], settled!.Value.Answer.ToArray());
    }

    /// <summary>Who waits is woken; what nobody waits for costs nothing.</summary>
    [StoreFact]
    public async Task EveryEndOfAWatchedClaim_IsAnnounced_AndNoOther()
    {
        var heard = HearChanges();
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

        await EventuallyAsync(() => claims.Take(4).All(claim => heard.Contains(claim.Id)), "four ends are heard");
        Assert.DoesNotContain(claims[4].Id, heard);
    }

    /// <summary>The sweeper's list: marked or lapsed, with a probe, as it was claimed.</summary>
    [StoreFact]
    public async Task FindUncertain_ReachesEveryUncertainRecordWithAProbe_AndNoOther()
    {
        var marked = await ClaimedAsync(WithProbe(1));
        await Store.MarkUncertainAsync(marked, default);
        var lapsed = await ClaimedAsync(WithProbe(1) with { Lease = ShortLease });
        var withoutProbe = await UncertainAsync();
        var settled = await ClaimedAsync(WithProbe(1) with { Lease = ShortLease });
        await Store.SettleAsync(settled, new byte[] { 1 }, default);
        var released = await ClaimedAsync(WithProbe(1) with { Lease = ShortLease });
        await Store.ReleaseAsync(released, default);
        var forgotten = await ClaimedAsync(WithProbe(1));
        await Store.MarkUncertainAsync(forgotten, default);
        await Store.ForgetAsync(forgotten.Id, default);
        var running = await ClaimedAsync(WithProbe(1) with { Lease = ShortLease });
        await AdvanceAsync(ShortLease * 2);
        await Store.RenewAsync([running with { Lease = Lease }], default);

        var found = await FindAllAsync(marked, lapsed);

        Assert.DoesNotContain(found.Keys, id => id == withoutProbe.Id || id == settled.Id || id == released.Id || id == forgotten.Id || id == running.Id);
        var record = found[lapsed.Id];
        Assert.Equal((lapsed.Fingerprint, 1), (record.Fingerprint, record.Attempt));
        Assert.Equal(lapsed.Probe.ToArray(), record.Probe.ToArray());
        Assert.InRange(record.Rest, Retention / 2, Retention);
    }

    /// <summary>What stays uncertain hides nothing behind it.</summary>
    [StoreFact]
    public async Task FindUncertain_KeepsTheProbeOfATakeOver_AndReachesWhatStaysUncertain()
    {
        // More that begin alike than a call returns: a store that is divided by ids has them in one part.
        var claims = Enumerable.Range(0, 7).Select(_ => WithProbe(1)).Select(claim => claim with { Id = Alike(claim.Id) }).ToArray();
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

    /// <summary>A round meets all that is uncertain, with and without a probe, and so does the next.</summary>
    [StoreFact]
    public async Task WalkUncertain_ReachesEveryUncertainRecord_AndNoOther()
    {
        var (marked, lapsed, withProbe) = (await UncertainAsync(), await ClaimedAsync(ShortLease), await ClaimedAsync(WithProbe(1) with { Lease = ShortLease }));
        var settled = await SettledAsync(ShortLease);
        var released = await ClaimedAsync(ShortLease);
        await Store.ReleaseAsync(released, default);
        var forgotten = await UncertainAsync();
        await Store.ForgetAsync(forgotten.Id, default);
        var (running, renewed) = (await ClaimedAsync(LongLease), await ClaimedAsync(ShortLease));
        var taken = await UncertainAsync();
        await Store.ClaimAsync(Duplicate(taken) with { TakeOver = 1, Lease = LongLease }, default);
        var held = await ClaimedAsync(NewLock(ShortLease));
        var others = await Task.WhenAll(Enumerable.Range(0, 2 * Part).Select(_ => UncertainAsync()));
        await AdvanceAsync(ShortLease * 2);
        await Store.RenewAsync([renewed with { Lease = LongLease }], default);

        for (var rounds = 0; rounds < 2; rounds++)
        {
            var found = await WalkAsync();

            Assert.All(others.Concat([marked, lapsed, withProbe]), claim => Assert.Contains(claim.Id, found.Keys));
            Assert.Equal((true, false, false), (found[marked.Id].IsMarked, found[lapsed.Id].IsMarked, found[withProbe.Id].IsMarked));
            Assert.All(others, claim => Assert.True(found[claim.Id].IsMarked));
            Assert.All([marked, lapsed, withProbe], claim => Assert.InRange(found[claim.Id].Age, TimeSpan.Zero, TimeSpan.FromMinutes(5)));
            Assert.All([settled, released, forgotten, running, renewed, taken, held], claim => Assert.DoesNotContain(claim.Id, found.Keys));
        }
    }

    /// <summary>An operator frees what has ended, and cannot free what runs.</summary>
    [StoreFact]
    public async Task Forget_DeletesWhatHasEnded_AndNoRunningClaim()
    {
        var (settled, uncertain, running) = (await SettledAsync(), await UncertainAsync(), await ClaimedAsync());

        Assert.True(await Store.ForgetAsync(settled.Id, default));
        Assert.True(await Store.ForgetAsync(uncertain.Id, default));
        Assert.False(await Store.ForgetAsync(running.Id, default));
        Assert.False(await Store.ForgetAsync(settled.Id, default));
        Assert.False(await Store.ForgetAsync(NewId(), default));

        Assert.Null(await Store.WatchAsync(settled.Id, default));
        var found = await Store.ClaimAsync(Duplicate(uncertain) with { Fingerprint = NewFingerprint() }, default);
        Assert.Equal((ClaimState.Claimed, 1), (found.State, found.Attempt));
        Assert.Equal(ClaimState.InProgress, (await Store.WatchAsync(running.Id, default))?.State);
    }

    /// <summary>What an operator deleted does not come back.</summary>
    [StoreFact]
    public async Task Forget_KeepsLateWritesOfTheOwnerOut()
    {
        var first = await UncertainAsync();
        await Store.ForgetAsync(first.Id, default);

        Assert.Equal(WriteResult.TakenOver, await Store.SettleAsync(first, new byte[] { 1 }, default));
        Assert.Equal([WriteResult.TakenOver], await Store.RenewAsync([first], default));
        Assert.Null(await Store.WatchAsync(first.Id, default));

        await ClaimedAsync(Duplicate(first));
        Assert.Equal(WriteResult.Foreign, await Store.SettleAsync(first, new byte[] { 1 }, default));
    }

    /// <summary>Attempts go on after a deletion: else a late owner of a higher one would write over the new claim.</summary>
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

    /// <summary>Copies that processes keep of an answer go with it.</summary>
    [StoreFact]
    public async Task Forget_IsAnnounced()
    {
        var heard = new ConcurrentQueue<RecordId>();
        Store.Forgotten += heard.Enqueue;
        var claim = await UncertainAsync();

        await Store.ForgetAsync(claim.Id, default);

        await EventuallyAsync(() => heard.Contains(claim.Id), "the deletion is heard");
    }

    /// <summary>One round of <see cref="IIdempotencyStore.WalkUncertainAsync"/>; before it, the round that is under way ends, if one is.</summary>
    protected async Task<IReadOnlyDictionary<RecordId, UncertainMark>> WalkAsync()
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!(await NextPartAsync(started)).IsLast)
        {
        }

        var found = new Dictionary<RecordId, UncertainMark>();
        for (var isFirst = true; ; isFirst = false)
        {
            var part = await NextPartAsync(started);
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

    private async Task<UncertainPart> NextPartAsync(long started)
    {
        Assert.True(TimeProvider.System.GetElapsedTime(started) < Patience, $"not within {Patience}: a round of the walk ends");
        return await Store.WalkUncertainAsync(Part, default);
    }

    /// <summary>Calls until all of these are found; other tests may leave records in the same store.</summary>
    private async Task<Dictionary<RecordId, UncertainRecord>> FindAllAsync(params ClaimRequest[] claims)
    {
        var found = new Dictionary<RecordId, UncertainRecord>();
        await EventuallyAsync(
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

    private static RecordId Alike(RecordId id)
    {
        var bytes = id.Digest.ToArray();
        bytes.AsSpan(0, 8).Clear();
        return new RecordId(Digest.From(bytes));
    }
}
