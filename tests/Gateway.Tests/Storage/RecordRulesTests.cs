using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>Every row of the state machine, with all that is written: a store's contract sees only what a later read tells of it.</summary>
public sealed class RecordRulesTests
{
    private const long Now = 1_000_000;
    private const long LeaseUntil = Now + 30_000;
    private const long ExpiresAt = Now + 90_000;

    private static readonly Fingerprint First = new(1, new Digest(1, 2, 3, 4));
    private static readonly Fingerprint Other = new(1, new Digest(5, 6, 7, 8));

    /// <summary>The third attempt, of which the owner writes; it may take over the third.</summary>
    private static readonly ClaimRequest Claim = new(
        new RecordId(default), ClaimToken.Create(), First, TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(90), TakeOver: 3, Attempt: 3);

    /// <summary>Of the owner of <see cref="Claim"/>, its lease running.</summary>
    private static readonly StoredRecord Own = new(RecordState.Claimed, Claim.Token, First, Now + 1, Now + 40_000, default, Attempt: 3, IsForgotten: false);

    private static readonly StoredRecord Foreign = Own with { Token = ClaimToken.Create() };
    private static readonly StoredRecord Uncertain = Foreign with { State = RecordState.Uncertain, LeaseUntil = Now - 7 };
    private static readonly RecordWrite Nothing = new(RecordWriteKind.Nothing);

    [Fact]
    public void AFreeKey_IsClaimedFromItsFirstAttemptOn() => Assert.Equal(
        (new ClaimResult(ClaimState.Claimed, First, Attempt: 1), Put(RecordState.Claimed, LeaseUntil, attempt: 1)),
        RecordRules.Claim(null, Claim, Now));

    [Fact]
    public void AForgottenKey_IsClaimedAsTheAttemptThatWasForgotten() => Assert.Equal(
        (new ClaimResult(ClaimState.Claimed, First, Attempt: 2), Put(RecordState.Claimed, LeaseUntil, attempt: 2)),
        RecordRules.Claim(Own with { IsForgotten = true, Attempt = 2, Fingerprint = Other }, Claim, Now));

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void AClaimThatIsRepeated_FindsItself_WhateverItsLease(long rest) => Assert.Equal(
        (new ClaimResult(ClaimState.Claimed, Other, Attempt: 4), Nothing),
        RecordRules.Claim(Own with { LeaseUntil = Now + rest, Fingerprint = Other, Attempt = 4 }, Claim, Now));

    [Fact]
    public void AClaimThatWasMarkedUncertain_IsUncertainToItsOwnerToo() => Assert.Equal(
        (new ClaimResult(ClaimState.Uncertain, Other, Attempt: 3, Age: TimeSpan.FromMilliseconds(7)), Nothing),
        RecordRules.Claim(Uncertain with { Token = Claim.Token, Fingerprint = Other }, Claim, Now));

    [Fact]
    public void ARunningClaim_IsTakenOverByNobody() => Assert.Equal(
        (new ClaimResult(ClaimState.InProgress, First, TimeSpan.FromMilliseconds(1), Attempt: 3), Nothing),
        RecordRules.Claim(Foreign, Claim, Now));

    [Fact]
    public void ASettledKey_IsTakenOverByNobody()
    {
        var answer = new byte[] { 1 };

        Assert.Equal(
            (new ClaimResult(ClaimState.Settled, First, TimeSpan.FromSeconds(40), answer, Attempt: 3), Nothing),
            RecordRules.Claim(Foreign with { State = RecordState.Settled, Answer = answer }, Claim, Now));
    }

    [Fact]
    public void AnUncertainKey_IsTakenOver_ByTheAttemptAfterIt_OfTheSameRequest()
    {
        var taken = new ClaimResult(ClaimState.Claimed, First, Attempt: 4);
        var found = new ClaimResult(ClaimState.Uncertain, First, Attempt: 3, Age: TimeSpan.FromMilliseconds(7));
        var write = new RecordWrite(RecordWriteKind.Update, RecordState.Claimed, Claim.Token, LeaseUntil, Now + 40_000, Attempt: 4);

        Assert.Equal((taken, write), RecordRules.Claim(Uncertain, Claim, Now));
        Assert.Equal((taken, write), RecordRules.Claim(Foreign with { LeaseUntil = Now }, Claim, Now));
        Assert.Equal((found, Nothing), RecordRules.Claim(Uncertain, Claim with { TakeOver = 2 }, Now));
        Assert.Equal((found with { Fingerprint = Other }, Nothing), RecordRules.Claim(Uncertain with { Fingerprint = Other }, Claim, Now));
    }

    [Fact]
    public void ATakeOver_OutlivesARetentionThatEndsBeforeItsLease() =>
        Assert.Equal(LeaseUntil, RecordRules.Claim(Uncertain with { ExpiresAt = Now + 1 }, Claim, Now).Write.ExpiresAt);

    [Theory]
    [InlineData(nameof(RecordState.Settled), 5, 5)]
    [InlineData(nameof(RecordState.Settled), -5, -5)]
    [InlineData(nameof(RecordState.Uncertain), 5, 0)]
    [InlineData(nameof(RecordState.Uncertain), -5, -5)]
    public void AnOwnClaim_IsEnded_AndNothingOfItIsSentFromNowOn(string state, long rest, long written)
    {
        var (own, ended) = (Own with { LeaseUntil = Now + rest }, Enum.Parse<RecordState>(state));

        Assert.Equal((WriteResult.Done, Update(ended, Now + written)), RecordRules.End(own, Claim, ended, Now));
        Assert.Equal((WriteResult.Done, Update(ended, Now + written)), RecordRules.End(own with { State = RecordState.Uncertain }, Claim, ended, Now));
    }

    [Fact]
    public void ASettledClaim_StaysAsItIs()
    {
        var settled = Own with { State = RecordState.Settled };

        Assert.Equal((WriteResult.Done, Nothing), RecordRules.End(settled, Claim, RecordState.Settled, Now));
        Assert.Equal((WriteResult.Settled, Nothing), RecordRules.End(settled, Claim, RecordState.Uncertain, Now));
        Assert.Equal((WriteResult.Settled, Nothing), RecordRules.Release(settled, Claim, Now));
        Assert.Equal((WriteResult.Settled, Nothing), RecordRules.Renew(settled, Claim, Now));
    }

    [Fact]
    public void AnUncertainClaim_IsNeitherReleasedNorRenewed()
    {
        Assert.Equal((WriteResult.Settled, Nothing), RecordRules.Release(Own with { State = RecordState.Uncertain, Attempt = 1 }, Claim, Now));
        Assert.Equal((WriteResult.Settled, Nothing), RecordRules.Renew(Own with { State = RecordState.Uncertain }, Claim, Now));
    }

    [Fact]
    public void AReleasedClaim_IsDeleted_UnlessAnEarlierAttemptMayHaveBeenSent()
    {
        Assert.Equal((WriteResult.Done, new RecordWrite(RecordWriteKind.Delete)), RecordRules.Release(Own with { Attempt = 1 }, Claim, Now));
        Assert.Equal((WriteResult.Done, Update(RecordState.Uncertain, Now)), RecordRules.Release(Own, Claim, Now));
    }

    [Fact]
    public void ARenewedClaim_BeginsItsLeaseAndItsRetentionAnew() => Assert.Equal(
        (WriteResult.Done, Update(RecordState.Claimed, LeaseUntil) with { ExpiresAt = ExpiresAt }),
        RecordRules.Renew(Own with { LeaseUntil = Now - 1 }, Claim, Now));

    public static TheoryData<string> Lost => ["nothing", "an earlier attempt", "an earlier attempt, marked", "forgotten, before it", "forgotten, of its number"];

    /// <summary>What the owner finds where the store lost its record, or its take-over.</summary>
    [Theory]
    [MemberData(nameof(Lost))]
    public void ALostClaim_IsPutBack_ByWhoeverHasSomethingToSay(string what)
    {
        StoredRecord? found = what switch
        {
            "nothing" => null,
            "an earlier attempt" => Foreign with { Attempt = 2 },
            "an earlier attempt, marked" => Uncertain with { Attempt = 2 },
            "forgotten, before it" => Uncertain with { Attempt = 2, IsForgotten = true },
            _ => Uncertain with { IsForgotten = true },
        };

        Assert.Equal((WriteResult.Recreated, Put(RecordState.Settled, LeaseUntil)), RecordRules.End(found, Claim, RecordState.Settled, Now));
        Assert.Equal((WriteResult.Recreated, Put(RecordState.Uncertain, Now)), RecordRules.End(found, Claim, RecordState.Uncertain, Now));
        Assert.Equal((WriteResult.Recreated, Put(RecordState.Claimed, LeaseUntil)), RecordRules.Renew(found, Claim, Now));
        Assert.Equal((WriteResult.Gone, Nothing), RecordRules.Release(found, Claim, Now));
    }

    [Fact]
    public void WhoeverCameTooLate_IsToldWhy_AndWritesNothing()
    {
        Refuses(WriteResult.TakenOver, Own with { IsForgotten = true });
        Refuses(WriteResult.TakenOver, Foreign with { Attempt = 4 });
        Refuses(WriteResult.TakenOver, Foreign with { Attempt = 4, State = RecordState.Settled });
        Refuses(WriteResult.TakenOver, Uncertain with { Attempt = 4, IsForgotten = true });
        Refuses(WriteResult.Foreign, Foreign);
        Refuses(WriteResult.Foreign, Uncertain);
        Refuses(WriteResult.Foreign, Foreign with { Attempt = 2, State = RecordState.Settled });

        static void Refuses(WriteResult expected, StoredRecord found)
        {
            Assert.Equal((expected, Nothing), RecordRules.End(found, Claim, RecordState.Settled, Now));
            Assert.Equal((expected, Nothing), RecordRules.End(found, Claim, RecordState.Uncertain, Now));
            Assert.Equal((expected, Nothing), RecordRules.Release(found, Claim, Now));
            Assert.Equal((expected, Nothing), RecordRules.Renew(found, Claim, Now));
        }
    }

    [Fact]
    public void AnOperatorForgets_WhatIsNotRunning()
    {
        Assert.False(RecordRules.MayForget(null, Now));
        Assert.False(RecordRules.MayForget(Own, Now));
        Assert.False(RecordRules.MayForget(Uncertain with { IsForgotten = true }, Now));
        Assert.True(RecordRules.MayForget(Uncertain, Now));
        Assert.True(RecordRules.MayForget(Own with { LeaseUntil = Now }, Now));
        Assert.True(RecordRules.MayForget(Own with { State = RecordState.Settled }, Now));
    }

    [Fact]
    public void Milliseconds_AreWhole() => Assert.Equal(61_500, RecordRules.Milliseconds(new TimeSpan(0, 0, 1, 1, 500, 900)));

    private static RecordWrite Put(RecordState state, long leaseUntil, int attempt = 3) =>
        new(RecordWriteKind.Put, state, Claim.Token, leaseUntil, ExpiresAt, attempt);

    /// <summary>Of <see cref="Own"/>: retention and attempt stay.</summary>
    private static RecordWrite Update(RecordState state, long leaseUntil) =>
        new(RecordWriteKind.Update, state, Claim.Token, leaseUntil, Own.ExpiresAt, Own.Attempt);
}
