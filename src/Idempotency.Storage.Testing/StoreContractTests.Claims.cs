using System.Security.Cryptography;
using System.Text;
using Xunit;

namespace Idempotency.Storage.Testing;

/// <summary>The part of the contract that every request needs: claim, settle, mark uncertain, release, and who may.</summary>
public abstract partial class StoreContractTests
{
    /// <summary>A free key is the caller's.</summary>
    [StoreFact]
    public async Task Claim_OfAFreeKey_IsTheCallers()
    {
        var claim = NewClaim();

        var result = await Store.ClaimAsync(claim, default);

        Assert.Equal((ClaimState.Claimed, claim.Fingerprint, 1), (result.State, result.Fingerprint, result.Attempt));
    }

    /// <summary>A duplicate learns how long the first may still run, and what the key was first used for.</summary>
    [StoreFact]
    public async Task Claim_WhileAnotherHoldsIt_IsInProgressWithTheRestOfTheLeaseAndTheFirstFingerprint()
    {
        var first = await ClaimedAsync();

        var result = await Store.ClaimAsync(Duplicate(first) with { Fingerprint = NewFingerprint() }, default);

        Assert.Equal(ClaimState.InProgress, result.State);
        Assert.Equal(first.Fingerprint, result.Fingerprint);
        Assert.InRange(result.Remaining, Lease - TimeSpan.FromSeconds(10), Lease);
    }

    /// <summary>A claim whose reply was lost is sent again.</summary>
    [StoreFact]
    public async Task Claim_AgainByTheSameToken_IsRecognisedAsItsOwn()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(ClaimState.Claimed, (await Store.ClaimAsync(claim, default)).State);
    }

    /// <summary>Of many claims at the same time, one gets the key.</summary>
    [StoreFact]
    public async Task Claim_ByManyAtOnce_IsGivenToOne()
    {
        var first = NewClaim();

        var results = await ClaimAtOnceAsync(200, _ => Store, () => Duplicate(first));

        Assert.Single(results, result => result.State == ClaimState.Claimed);
        Assert.Equal(199, results.Count(result => result.State == ClaimState.InProgress));
    }

    /// <summary>So it is between processes.</summary>
    [StoreFact]
    public async Task Claim_ByManyAtOnce_ThroughTwoInstances_IsGivenToOne()
    {
        await using var other = await OpenAsync(TimeProvider.System);
        var first = NewClaim();

        var results = await ClaimAtOnceAsync(100, i => i % 2 == 0 ? Store : other, () => Duplicate(first));

        Assert.Single(results, result => result.State == ClaimState.Claimed);
    }

    /// <summary>An instance that is closed takes nothing with it: what was acknowledged is the store's.</summary>
    [StoreFact]
    public async Task WhatWasAcknowledged_OutlivesTheInstance()
    {
        var (running, settled) = (NewClaim(), NewClaim());
        await using (var other = await OpenAsync(TimeProvider.System))
        {
            await other.ClaimAsync(running, default);
            await other.ClaimAsync(settled, default);
            Assert.Equal(WriteResult.Done, await other.SettleAsync(settled, new byte[] { 5 }, default));
        }

        Assert.Equal(ClaimState.InProgress, (await RetryAsync(running)).State);
        Assert.Equal([5], (await RetryAsync(settled)).Answer.ToArray());
    }

    /// <summary>An answer is opaque bytes: not text, not parsed, not cut. This one is as large as the default policy lets it be.</summary>
    [StoreFact]
    public async Task Settle_KeepsTheAnswerByteForByte()
    {
        var claim = await ClaimedAsync();
        var answer = RandomNumberGenerator.GetBytes(1024 * 1024 + 32 * 1024);

        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, answer, default));

        var found = await RetryAsync(claim);
        Assert.Equal((ClaimState.Settled, claim.Fingerprint), (found.State, found.Fingerprint));
        Assert.True(found.Answer.Span.SequenceEqual(answer), "the answer is another");
    }

    /// <summary>So it is for an answer that looks like a list of fields: neither sorted nor merged, and a byte of zero ends nothing.</summary>
    [StoreFact]
    public async Task Settle_KeepsTheOrderOfWhatLooksLikeFields()
    {
        var claim = await ClaimedAsync();
        var answer = Encoding.Latin1.GetBytes("b: 2\r\na: 1\r\nb: 1\r\n\r\n\0\0 \u00ff\r\n ");

        await Store.SettleAsync(claim, answer, default);

        Assert.Equal(answer, (await RetryAsync(claim)).Answer.ToArray());
    }

    /// <summary>A repeated settlement is harmless, and the first one stands.</summary>
    [StoreFact]
    public async Task Settle_Again_ChangesNothing()
    {
        var claim = await SettledAsync();

        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 2 }, default));

        Assert.Equal([1], (await RetryAsync(claim)).Answer.ToArray());
    }

    /// <summary>Only the owner of the token settles, ...</summary>
    [StoreFact]
    public Task Settle_WithAForeignToken_ChangesNothing() => ForeignWriteAsync(async foreign => await Store.SettleAsync(foreign, new byte[] { 1 }, default));

    /// <summary>... marks uncertain, ...</summary>
    [StoreFact]
    public Task MarkUncertain_WithAForeignToken_ChangesNothing() => ForeignWriteAsync(async foreign => await Store.MarkUncertainAsync(foreign, default));

    /// <summary>... releases ...</summary>
    [StoreFact]
    public Task Release_WithAForeignToken_ChangesNothing() => ForeignWriteAsync(async foreign => await Store.ReleaseAsync(foreign, default));

    /// <summary>... and renews.</summary>
    [StoreFact]
    public Task Renew_WithAForeignToken_ChangesNothing() =>
        ForeignWriteAsync(async foreign => (await Store.RenewAsync([foreign with { Lease = Lease * 10 }], default)).Single());

    /// <summary>The owner knows better than a store that lost the record.</summary>
    [StoreFact]
    public async Task Settle_WhenTheStoreLostTheClaim_PutsItBack()
    {
        var claim = NewClaim();

        Assert.Equal(WriteResult.Recreated, await Store.SettleAsync(claim, new byte[] { 7 }, default));

        var found = await RetryAsync(claim);
        Assert.Equal((ClaimState.Settled, claim.Fingerprint), (found.State, found.Fingerprint));
        Assert.Equal([7], found.Answer.ToArray());
    }

    /// <summary>Uncertain is not final for the owner, but it cannot be undone by a release; a settlement is final.</summary>
    [StoreFact]
    public async Task MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Done, await Store.MarkUncertainAsync(claim, default));
        Assert.Equal(ClaimState.Uncertain, (await RetryAsync(claim)).State);
        Assert.Equal(WriteResult.Settled, await Store.ReleaseAsync(claim, default));
        Assert.Equal(ClaimState.Uncertain, (await RetryAsync(claim)).State);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 3 }, default));
        Assert.Equal(ClaimState.Settled, (await RetryAsync(claim)).State);
        Assert.Equal(WriteResult.Settled, await Store.MarkUncertainAsync(claim, default));
        Assert.Equal(ClaimState.Settled, (await RetryAsync(claim)).State);
    }

    /// <summary>A released key is free.</summary>
    [StoreFact]
    public async Task Release_FreesTheKey_AndIsHarmlessTwice()
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Done, await Store.ReleaseAsync(claim, default));
        Assert.Equal(WriteResult.Gone, await Store.ReleaseAsync(claim, default));

        Assert.Equal(ClaimState.Claimed, (await RetryAsync(claim)).State);
    }

    /// <summary>What was executed is not freed.</summary>
    [StoreFact]
    public async Task Release_OfASettledKey_IsRefused()
    {
        var claim = await SettledAsync();

        Assert.Equal(WriteResult.Settled, await Store.ReleaseAsync(claim, default));
        Assert.Equal(ClaimState.Settled, (await RetryAsync(claim)).State);
    }

    /// <summary>One secret for all instances.</summary>
    [StoreFact]
    public async Task Secret_IsSetOnce_AndSharedByAll()
    {
        await using var other = await OpenAsync(TimeProvider.System);
        var secrets = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => (i % 2 == 0 ? Store : other).GetSecretAsync(default).AsTask())));

        Assert.All(secrets, secret => Assert.Equal(secrets[0], secret));
        Assert.Equal(32, secrets[0].Length);
    }

    /// <summary>A store that serves says so, and has a name for logs.</summary>
    [StoreFact]
    public async Task Ping_OfAStoreThatServes_Returns()
    {
        var e = await Record.ExceptionAsync(() => Store.PingAsync(default).AsTask());

        Assert.Null(e);
        Assert.NotEqual("", Store.Description);
    }

    private async Task ForeignWriteAsync(Func<ClaimRequest, Task<WriteResult>> write)
    {
        var claim = await ClaimedAsync();

        Assert.Equal(WriteResult.Foreign, await write(Duplicate(claim)));

        var found = await RetryAsync(claim);
        Assert.Equal(ClaimState.InProgress, found.State);
        Assert.InRange(found.Remaining, TimeSpan.Zero, Lease);
        Assert.Equal(WriteResult.Done, await Store.SettleAsync(claim, new byte[] { 1 }, default));
    }
}
