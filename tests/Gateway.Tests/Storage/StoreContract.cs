using System.Security.Cryptography;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;
using Xunit.Sdk;

namespace Gateway.Tests.Storage;

/// <summary>What every store must do (<see cref="IIdempotencyStore"/>), run against each real store by a small subclass.</summary>
public abstract partial class StoreContract : IAsyncLifetime
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Retention = TimeSpan.FromHours(24);
    private static readonly TimeSpan HistoryLease = TimeSpan.FromSeconds(2);

    private TimeSpan _advanced;

    internal IIdempotencyStore Store { get; private set; } = null!;

    public async Task InitializeAsync() => Store = await OpenAsync();

    public virtual async Task DisposeAsync() => await Store.DisposeAsync();

    [StoreFact]
    public async Task Claim_OfAFreeKey_IsTheCallers()
    {
        var claim = NewClaim();

        var result = await Store.ClaimAsync(claim, default);

        Assert.Equal(ClaimState.Claimed, result.State);
        Assert.Equal(claim.Fingerprint, result.Fingerprint);
    }

    [StoreFact]
    public async Task Claim_WhileAnotherHoldsIt_IsInProgressWithTheRestOfTheLeaseAndTheFirstFingerprint()
    {
        var first = await ClaimedAsync();

        var result = await Store.ClaimAsync(Duplicate(first) with { Fingerprint = NewFingerprint() }, default);

        Assert.Equal(ClaimState.InProgress, result.State);
        Assert.Equal(first.Fingerprint, result.Fingerprint);
        Assert.InRange(result.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
    }

    [StoreFact]
    public async Task Claim_AgainByTheSameToken_IsRecognisedAsItsOwn()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(claim, default)).State);
    }

    [StoreFact]
    public async Task Claim_ByManyAtOnce_IsGivenToOne()
    {
        var first = NewClaim();

        var results = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => Store.ClaimAsync(Duplicate(first), default).AsTask()));

        Assert.Single(results, result => result.State == ClaimState.Claimed);
        Assert.Equal(199, results.Count(result => result.State == ClaimState.InProgress));
    }

    [StoreFact]
    public async Task Settle_KeepsTheAnswerByteForByte()
    {
        var claim = await ClaimedAsync();
        var answer = RandomNumberGenerator.GetBytes(100_000);

        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, answer, default));

        var found = await Store.ClaimAsync(Duplicate(claim), default);
        Assert.Equal(ClaimState.Settled, found.State);
        Assert.Equal(claim.Fingerprint, found.Fingerprint);
        Assert.Equal(answer, found.Answer.ToArray());
    }

    [StoreFact]
    public async Task Settle_Again_ChangesNothing()
    {
        var claim = await ClaimedAsync();
        await Store.SettleAsync(claim, new byte[] { 1 }, default);

        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 2 }, default));

        Assert.Equal([1], (await Store.ClaimAsync(Duplicate(claim), default)).Answer.ToArray());
    }

    [StoreFact]
    public async Task Settle_WithAForeignToken_ChangesNothing()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Foreign, await Store.SettleAsync(Duplicate(claim), new byte[] { 1 }, default));
        Assert.Equal(WriteResult.Foreign, await Store.MarkUncertainAsync(Duplicate(claim), default));
        Assert.Equal(WriteResult.Foreign, await Store.ReleaseAsync(Duplicate(claim), default));
        Assert.Equal([WriteResult.Foreign], await Store.RenewAsync([Duplicate(claim)], default));

        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Settle_WhenTheStoreLostTheClaim_PutsItBack()
    {
        var claim = NewClaim();

        Assert.Equal(WriteResult.Recreated, await Store.SettleAsync(claim, new byte[] { 7 }, default));

        var found = await Store.ClaimAsync(Duplicate(claim), default);
        Assert.Equal(ClaimState.Settled, found.State);
        Assert.Equal(claim.Fingerprint, found.Fingerprint);
        Assert.Equal([7], found.Answer.ToArray());
    }

    [StoreFact]
    public async Task MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(claim), default)).State);
        Assert.Equal(WriteResult.Settled, await Store.ReleaseAsync(claim, default));
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 3 }, default));
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(claim), default)).State);
        Assert.Equal(WriteResult.Settled, await Store.MarkUncertainAsync(claim, default));
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Release_FreesTheKey_AndIsHarmlessTwice()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(claim, default));
        Assert.Equal(WriteResult.Gone, await Store.ReleaseAsync(claim, default));

        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Release_OfASettledKey_IsRefused()
    {
        var claim = await ClaimedAsync();
        await Store.SettleAsync(claim, new byte[] { 1 }, default);

        Assert.Equal(WriteResult.Settled, await Store.ReleaseAsync(claim, default));
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Lease_ThatRanOut_ReadsAsUncertain_NeverAsFree()
    {
        var claim = await ClaimedAsync(ShortLease);

        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(claim), default)).State);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 1 }, default));
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Release_AfterTheLease_ByTheOwnerThatNeverSent_FreesTheKey()
    {
        var claim = await ClaimedAsync(ShortLease);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(claim, default));
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [StoreFact]
    public async Task Renew_RestartsTheLease()
    {
        var claim = await ClaimedAsync(ShortLease);
        await AdvanceAsync(ShortLease * 2);

        Assert.Equal([WriteResult.Done], await Store.RenewAsync([claim with { Lease = Lease }], default));

        var found = await Store.ClaimAsync(Duplicate(claim), default);
        Assert.Equal(ClaimState.InProgress, found.State);
        Assert.InRange(found.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
    }

    [StoreFact]
    public async Task Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone()
    {
        var lost = NewClaim();
        var settled = await ClaimedAsync();
        await Store.SettleAsync(settled, new byte[] { 1 }, default);

        Assert.Equal([WriteResult.Recreated, WriteResult.Settled], await Store.RenewAsync([lost, settled], default));

        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(lost), default)).State);
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(settled), default)).State);
    }

    [StoreFact]
    public Task Retention_Over_FreesTheKey_AndDuplicatesDoNotExtendIt() => SteadilyAsync(ShortLease, async () =>
    {
        var retention = ShortLease * 4;
        var claim = NewClaim() with { Lease = ShortLease, Retention = retention };
        await Store.ClaimAsync(claim, default);
        await Store.SettleAsync(claim, new byte[] { 1 }, default);

        await AdvanceAsync(retention / 2);
        Assert.Equal(ClaimState.Settled, (await Store.ClaimAsync(Duplicate(claim), default)).State);
        await AdvanceAsync(retention);

        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    });

    [StoreFact]
    public async Task Secret_IsSetOnce_AndSharedByAll()
    {
        await using var other = await OpenAsync();
        var secrets = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Store.GetSecretAsync(default).AsTask()));

        Assert.All(secrets, secret => Assert.Equal(secrets[0], secret));
        Assert.Equal(secrets[0], await other.GetSecretAsync(default));
        Assert.Equal(32, secrets[0].Length);
    }

    [StoreFact]
    public Task RandomHistories_AgreeWithTheModel() => SteadilyAsync(HistoryLease / 2, async () =>
    {
        // The step lies between the lease and twice the lease, the retention between two steps and three: no comparison is close.
        var (step, retention) = (HistoryLease * 1.5, HistoryLease * 3.75);
        var histories = Enumerable.Range(1, Histories).Select(seed => new RandomHistory(seed, HistoryLease, retention)).ToList();
        for (var steps = 0; steps < 4; steps++)
        {
            var differences = await Task.WhenAll(histories.Select(history => history.RunAsync(Store, 10)));
            Assert.DoesNotContain(differences, difference => difference is not null);
            await AdvanceAsync(step);
            histories.ForEach(history => history.Step(step));
        }
    });

    /// <summary>How many random histories; all of a step must be through in a fraction of the lease.</summary>
    internal virtual int Histories => 150;

    /// <summary>Short enough to wait for where the store's clock cannot be moved.</summary>
    internal abstract TimeSpan ShortLease { get; }

    internal abstract Task<IIdempotencyStore> OpenAsync();

    /// <summary>Returns when the store's clock went on by that much.</summary>
    internal abstract Task WaitAsync(TimeSpan time);

    internal static ClaimRequest NewClaim() => new(
        new RecordId(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size))), ClaimToken.Create(), NewFingerprint(), Lease, Retention);

    internal static ClaimRequest Duplicate(ClaimRequest claim) => claim with { Token = ClaimToken.Create() };

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

    /// <summary>Lets the store's clock advance.</summary>
    private async Task AdvanceAsync(TimeSpan by)
    {
        await WaitAsync(by);
        _advanced += by;
    }

    private static Fingerprint NewFingerprint() => new(1, Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    private async Task<ClaimRequest> ClaimedAsync(TimeSpan? lease = null)
    {
        var claim = NewClaim() with { Lease = lease ?? Lease };
        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(claim, default)).State);
        return claim;
    }
}
