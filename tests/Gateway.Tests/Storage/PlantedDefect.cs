using System.Text;
using Idempotency.Storage;

namespace Gateway.Tests.Storage;

/// <summary>A way to break one invariant of the contract.</summary>
/// <param name="Name">What the store does wrong.</param>
/// <param name="Open">Opens such a store, given the clock of the process.</param>
/// <param name="Tests">Of the contract: each of them must fail.</param>
internal sealed record PlantedDefect(string Name, Func<MemoryStore.Database, TimeProvider, IIdempotencyStore> Open, params string[] Tests)
{
    private static readonly RecordWrite Nothing = new(RecordWriteKind.Nothing);

    private static readonly DefectiveStore.OwnerRule Settle = (existing, claim, now) => RecordRules.End(existing, claim, RecordState.Settled, now);

    private static readonly DefectiveStore.OwnerRule Mark = (existing, claim, now) => RecordRules.End(existing, claim, RecordState.Uncertain, now);

    private static readonly DefectiveStore.OwnerRule Release = (existing, claim, now) => RecordRules.Release(existing, claim, now);

    private static readonly DefectiveStore.OwnerRule Renew = (existing, claim, now) => RecordRules.Renew(existing, claim, now);

    public static IReadOnlyList<PlantedDefect> All { get; } = [.. Claims(), .. Writes(), .. Times(), .. TakeOvers(), .. Others()];

    public override string ToString() => Name;

    private static IEnumerable<PlantedDefect> Claims() =>
    [
        new("a claim is told of another attempt", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim, now) is var (result, write) && existing is null ? (result with { Attempt = 0 }, write) : (result, write),
        }, "Claim_OfAFreeKey_IsTheCallers"),
        new("a duplicate is told its own fingerprint", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim, now) is var (result, write) ? (result with { Fingerprint = claim.Fingerprint }, write) : default,
        }, "Claim_WhileAnotherHoldsIt_IsInProgressWithTheRestOfTheLeaseAndTheFirstFingerprint"),
        new("the fingerprint is lost", (database, _) => new DefectiveStore(database)
        {
            Kept = (_, _, right) => right with { Record = right.Record with { Fingerprint = default } },
        }, "Claim_WhileAnotherHoldsIt_IsInProgressWithTheRestOfTheLeaseAndTheFirstFingerprint", "Settle_WhenTheStoreLostTheClaim_PutsItBack"),
        new("a repeated claim is taken for a duplicate", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, existing is null ? claim : StoreContractTests.Duplicate(claim), now),
        }, "Claim_AgainByTheSameToken_IsRecognisedAsItsOwn"),
        new("a claim is read, and then written", (database, _) => new DefectiveStore(database) { ReadsThenWrites = true },
            "Claim_ByManyAtOnce_IsGivenToOne", "Claim_ByManyAtOnce_ThroughTwoInstances_IsGivenToOne", "TakeOver_ByManyAtOnce_IsGivenToOne"),
        new("every instance has records of its own", (database, _) => new MemoryStore(new MemoryStore.Database(database.Clock)),
            "Claim_ByManyAtOnce_ThroughTwoInstances_IsGivenToOne", "WhatWasAcknowledged_OutlivesTheInstance", "Secret_IsSetOnce_AndSharedByAll"),
        new("records end with the instance", (database, _) => new DefectiveStore(database) { OnDispose = database.Clear }, "WhatWasAcknowledged_OutlivesTheInstance"),
        new("an owner's claim of what it marked uncertain is its own again", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => existing is { State: RecordState.Uncertain, IsForgotten: false } own && own.Token == claim.Token
                ? (new ClaimResult(ClaimState.Claimed, own.Fingerprint, Attempt: own.Attempt), Nothing)
                : RecordRules.Claim(existing, claim, now),
        }, "RandomHistories_AgreeWithTheModel"),
        new("each process makes a secret", (database, _) => new DefectiveStore(database) { Secret = _ => Guid.NewGuid().ToByteArray() }, "Secret_IsSetOnce_AndSharedByAll"),
        new("the secret is short", (database, _) => new DefectiveStore(database) { Secret = secret => secret[..16] }, "Secret_IsSetOnce_AndSharedByAll"),
        new("a store that serves does not say so", (database, _) => new DefectiveStore(database) { IsSilent = true }, "Ping_OfAStoreThatServes_Returns"),
    ];

    private static IEnumerable<PlantedDefect> Writes() =>
    [
        new("answers are kept as text", (database, _) => new DefectiveStore(database) { Answer = answer => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(answer)) },
            "Settle_KeepsTheAnswerByteForByte", "Settle_KeepsTheOrderOfWhatLooksLikeFields"),
        new("answers are cut at a mebibyte", (database, _) => new DefectiveStore(database) { Answer = answer => answer[..Math.Min(answer.Length, 1024 * 1024)] }, "Settle_KeepsTheAnswerByteForByte"),
        new("fields are sorted", (database, _) => new DefectiveStore(database) { Answer = SortLines }, "Settle_KeepsTheOrderOfWhatLooksLikeFields"),
        new("answers end at a zero", (database, _) => new DefectiveStore(database) { Answer = answer => [.. answer.TakeWhile(it => it != 0)] }, "Settle_KeepsTheOrderOfWhatLooksLikeFields"),
        new("the last settlement stands", (database, _) => new DefectiveStore(database) { OnSettle = (existing, claim, now) => Settle(Unsettled(existing), claim, now) }, "Settle_Again_ChangesNothing"),
        new("the token is not compared to settle", (database, _) => new DefectiveStore(database) { OnSettle = WithoutToken(Settle) }, "Settle_WithAForeignToken_ChangesNothing"),
        new("the token is not compared to mark", (database, _) => new DefectiveStore(database) { OnMarkUncertain = WithoutToken(Mark) }, "MarkUncertain_WithAForeignToken_ChangesNothing"),
        new("the token is not compared to release", (database, _) => new DefectiveStore(database) { OnRelease = WithoutToken(Release) }, "Release_WithAForeignToken_ChangesNothing"),
        new("the token is not compared to renew", (database, _) => new DefectiveStore(database) { OnRenew = WithoutToken(Renew) }, "Renew_WithAForeignToken_ChangesNothing"),
        new("a settlement that is refused is kept", (database, _) => new DefectiveStore(database)
        {
            OnSettle = (existing, claim, now) => (Settle(existing, claim, now).Result, WithoutToken(Settle)(existing, claim, now).Write),
        }, "Settle_WithAForeignToken_ChangesNothing"),
        new("a renewal that is refused is kept", (database, _) => new DefectiveStore(database)
        {
            OnRenew = (existing, claim, now) => (Renew(existing, claim, now).Result, WithoutToken(Renew)(existing, claim, now).Write),
        }, "Renew_WithAForeignToken_ChangesNothing"),
        new("what a settlement does not find is not put back", (database, _) => new DefectiveStore(database) { OnSettle = WithoutPuttingBack(Settle) }, "Settle_WhenTheStoreLostTheClaim_PutsItBack"),
        new("what a mark does not find is not put back", (database, _) => new DefectiveStore(database) { OnMarkUncertain = WithoutPuttingBack(Mark) }, "WhatIsUncertainAgain_OrPutBackAsUncertain_IsYoung"),
        new("what a renewal does not find is not put back", (database, _) => new DefectiveStore(database) { OnRenew = WithoutPuttingBack(Renew) },
            "Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone", "ALockThatLapsed_ComesBackByItsHoldersRenewal_WhenNobodyTookIt"),
        new("a mark is not kept", (database, _) => new DefectiveStore(database) { OnMarkUncertain = (existing, claim, now) => (Mark(existing, claim, now).Result, Nothing) },
            "MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle"),
        new("what is uncertain is released", (database, _) => new DefectiveStore(database) { OnRelease = (existing, claim, now) => Release(Claimed(existing, now), claim, now) },
            "MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle"),
        new("a mark takes a settlement back", (database, _) => new DefectiveStore(database) { OnMarkUncertain = (existing, claim, now) => Mark(Unsettled(existing), claim, now) },
            "MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle"),
        new("what is uncertain cannot be settled", (database, _) => new DefectiveStore(database)
        {
            OnSettle = (existing, claim, now) => existing is { State: RecordState.Uncertain } ? (WriteResult.Settled, Nothing) : Settle(existing, claim, now),
        }, "MarkUncertain_ReadsAsUncertain_AndTheOwnerMayStillSettle"),
        new("a release keeps the key", (database, _) => new DefectiveStore(database) { OnRelease = (existing, claim, now) => (Release(existing, claim, now).Result, Nothing) },
            "Release_FreesTheKey_AndIsHarmlessTwice", "ALock_IsAClaimWhoseRetentionIsItsLease"),
        new("a release frees what is settled", (database, _) => new DefectiveStore(database) { OnRelease = (existing, claim, now) => Release(Unsettled(existing), claim, now) }, "Release_OfASettledKey_IsRefused"),
    ];

    private static IEnumerable<PlantedDefect> Times() =>
    [
        new("a lease that ran out frees the key", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing is { State: RecordState.Claimed } record && record.LeaseUntil <= now ? null : existing, claim, now),
        }, "Lease_ThatRanOut_ReadsAsUncertain_NeverAsFree"),
        new("an owner cannot settle after its lease", (database, _) => new DefectiveStore(database) { OnSettle = WithinTheLease(Settle) }, "Lease_ThatRanOut_ReadsAsUncertain_NeverAsFree"),
        new("an owner cannot release after its lease", (database, _) => new DefectiveStore(database) { OnRelease = WithinTheLease(Release) }, "Release_AfterTheLease_ByTheOwnerThatNeverSent_FreesTheKey"),
        new("an owner cannot renew after its lease", (database, _) => new DefectiveStore(database) { OnRenew = WithinTheLease(Renew) }, "Renew_RestartsTheLease"),
        new("leases are judged by the clock of the process", (database, clock) => new DefectiveStore(database) { Clock = clock }, "Lease_IsJudgedByTheStoresClock_NotByThatOfTheProcess"),
        new("a renewal is not kept", (database, _) => new DefectiveStore(database) { OnRenew = (existing, claim, now) => (Renew(existing, claim, now).Result, Nothing) },
            "Renew_RestartsTheLease", "ALock_IsRenewed_AndFreeWhenItLapses"),
        new("a renewal revives what is settled", (database, _) => new DefectiveStore(database) { OnRenew = (existing, claim, now) => Renew(Unsettled(existing), claim, now) },
            "Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone"),
        new("a renewal revives what was marked uncertain", (database, _) => new DefectiveStore(database) { OnRenew = (existing, claim, now) => Renew(Claimed(existing, now), claim, now) },
            "Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone"),
        new("renewals are answered in another order", (database, _) => new DefectiveStore(database) { Renewed = results => [.. results.Reverse()] }, "Renew_PutsALostClaimBack_AndLeavesSettledOnesAlone"),
        new("what is over is still shown", (database, _) => new DefectiveStore(database) { ShowsOver = _ => true }, "Retention_Over_FreesTheKey_AndDuplicatesDoNotExtendIt"),
        new("settling moves the retention", (database, _) => new DefectiveStore(database)
        {
            OnSettle = (existing, claim, now) => Settle(existing, claim, now) is var (result, write) ? (result, write with { ExpiresAt = now + (long)claim.Retention.TotalMilliseconds }) : default,
        }, "Retention_Over_FreesTheKey_AndDuplicatesDoNotExtendIt"),
        new("a duplicate moves the retention", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => existing is { State: RecordState.Settled } it
                ? (it.ToResult(now), new(RecordWriteKind.Update, it.State, it.Token, it.LeaseUntil, now + (long)claim.Retention.TotalMilliseconds, it.Attempt))
                : RecordRules.Claim(existing, claim, now),
        }, "Retention_Over_FreesTheKey_AndDuplicatesDoNotExtendIt"),
        new("a lock that lapsed is uncertain", (database, _) => new DefectiveStore(database) { ShowsOver = row => row.Record.ExpiresAt == row.Record.LeaseUntil },
            "ALock_IsRenewed_AndFreeWhenItLapses", "ALockThatLapsed_ComesBackByItsHoldersRenewal_WhenNobodyTookIt"),
    ];

    private static IEnumerable<PlantedDefect> TakeOvers() =>
    [
        new("a take-over is no new attempt", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim, now) is var (result, write) && write.Kind == RecordWriteKind.Update
                ? (result with { Attempt = claim.TakeOver }, write with { Attempt = claim.TakeOver })
                : RecordRules.Claim(existing, claim, now),
        }, "TakeOver_OfAnUncertainKey_IsTheNextAttempt"),
        new("a take-over names no attempt", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim with { TakeOver = claim.TakeOver > 0 ? existing?.Attempt ?? 0 : 0 }, now),
        }, "TakeOver_ThatDoesNotMatch_ChangesNothing"),
        new("a take-over may be another request's", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim.TakeOver > 0 && existing is { } it ? claim with { Fingerprint = it.Fingerprint } : claim, now),
        }, "TakeOver_ThatDoesNotMatch_ChangesNothing"),
        new("a take-over ends a running attempt", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(claim.TakeOver > 0 && existing is { State: RecordState.Claimed } it ? it with { LeaseUntil = now } : existing, claim, now),
        }, "TakeOver_ThatDoesNotMatch_ChangesNothing"),
        new("a take-over undoes a settlement", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(claim.TakeOver > 0 && existing is { State: RecordState.Settled } it ? it with { State = RecordState.Uncertain } : existing, claim, now),
        }, "TakeOver_ThatDoesNotMatch_ChangesNothing"),
        new("a take-over moves the retention", TakesOver((_, claim, now, write) => write with { ExpiresAt = now + (long)claim.Retention.TotalMilliseconds }), "TakeOver_LeavesTheExpiry_ButNeverEndsBeforeItsLease"),
        new("a take-over ends with the old retention", TakesOver((existing, _, _, write) => write with { ExpiresAt = existing.ExpiresAt }), "TakeOver_LeavesTheExpiry_ButNeverEndsBeforeItsLease"),
        new("a mark makes what is uncertain younger", (database, _) => new DefectiveStore(database)
        {
            OnMarkUncertain = (existing, claim, now) => Mark(existing, claim, now) is var (result, write) ? (result, write with { LeaseUntil = now }) : default,
        }, "AnUncertainKey_TellsHowLongNothingOfItIsSent"),
        new("a released take-over is as old as the first attempt", (database, _) => new DefectiveStore(database)
        {
            OnRelease = (existing, claim, now) => Release(existing, claim, now) is var (result, write) ? (result, write with { LeaseUntil = 0 }) : default,
        }, "WhatIsUncertainAgain_OrPutBackAsUncertain_IsYoung"),
        new("who was taken over settles", (database, _) => new DefectiveStore(database) { OnSettle = WithoutAttempt(Settle) }, "AnOwnerThatWasTakenOver_WritesNothing"),
        new("who was taken over marks", (database, _) => new DefectiveStore(database) { OnMarkUncertain = WithoutAttempt(Mark) }, "AnOwnerThatWasTakenOver_WritesNothing"),
        new("who was taken over releases", (database, _) => new DefectiveStore(database) { OnRelease = WithoutAttempt(Release) }, "AnOwnerThatWasTakenOver_WritesNothing"),
        new("who was taken over renews", (database, _) => new DefectiveStore(database) { OnRenew = WithoutAttempt(Renew) }, "AnOwnerThatWasTakenOver_WritesNothing"),
        new("a released take-over frees the key", (database, _) => new DefectiveStore(database)
        {
            OnRelease = (existing, claim, now) => Release(existing is { } it ? it with { Attempt = 1 } : null, claim, now),
        }, "Release_AfterATakeOver_IsUncertainAgain_BecauseTheFirstAttemptMayHaveRun"),
        new("a take-over that was lost is not put back", (database, _) => new DefectiveStore(database)
        {
            OnRenew = (existing, claim, now) => existing is { } it && it.Attempt < claim.Attempt ? (WriteResult.Foreign, Nothing) : Renew(existing, claim, now),
        }, "ATakeOverThatTheStoreLost_IsPutBack_OverTheLowerAttempt"),
        new("what is put back is a first attempt", (database, _) => new DefectiveStore(database)
        {
            Kept = (_, write, right) => write.Kind == RecordWriteKind.Put ? right with { Record = right.Record with { Attempt = 1 } } : right,
        }, "WritesThatPutBack_RestoreAttemptAndProbe"),
        new("what is put back has no probe", (database, _) => new DefectiveStore(database)
        {
            Kept = (_, write, right) => write is { Kind: RecordWriteKind.Put, Attempt: > 1 } ? right with { Probe = default } : right,
        }, "WritesThatPutBack_RestoreAttemptAndProbe"),
        new("a take-over brings its own probe", (database, _) => new DefectiveStore(database)
        {
            Kept = (row, write, right) => write.Attempt > row.Record.Attempt ? right with { Probe = default } : right,
        }, "FindUncertain_KeepsTheProbeOfATakeOver_AndReachesWhatStaysUncertain"),
    ];

    private static IEnumerable<PlantedDefect> Others() =>
    [
        new("a look claims", (database, _) => new DefectiveStore(database)
        {
            BeforeWatch = (store, id) => store.ClaimAsync(StoreContractTests.NewClaim() with { Id = id }, default).AsTask(),
        }, "Watch_TellsWhatIsOnRecord_AndClaimsNothing"),
        new("no end is announced", (database, _) => new DefectiveStore(database) { Announces = _ => false }, "EveryEndOfAWatchedClaim_IsAnnounced_AndNoOther", "ALock_IsAClaimWhoseRetentionIsItsLease"),
        new("ends are announced that nobody waits for", (database, _) => new DefectiveStore(database) { Announces = _ => true }, "EveryEndOfAWatchedClaim_IsAnnounced_AndNoOther"),
        new("the sweeper's list has the first ones only", (database, _) => new DefectiveStore(database)
        {
            Found = (_, max) => [.. database.Values.Where(row => !row.Probe.IsEmpty).Take(max).Select(ToFound)],
        }, "FindUncertain_KeepsTheProbeOfATakeOver_AndReachesWhatStaysUncertain"),
        new("the sweeper's list has what is running", (database, _) => new DefectiveStore(database)
        {
            Found = (found, _) => [.. found, .. database.Values.Where(row => !row.Probe.IsEmpty).Select(ToFound)],
        }, "FindUncertain_ReachesEveryUncertainRecordWithAProbe_AndNoOther"),
        new("the sweeper's list lacks what lapsed", (database, _) => new DefectiveStore(database)
        {
            Found = (found, _) => [.. found.Where(it => database[it.Id].Record.State == RecordState.Uncertain)],
        }, "FindUncertain_ReachesEveryUncertainRecordWithAProbe_AndNoOther"),
        new("probes are kept as text", (database, _) => new DefectiveStore(database)
        {
            Kept = (_, _, right) => right with { Probe = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(right.Probe.Span)) },
        }, "FindUncertain_ReachesEveryUncertainRecordWithAProbe_AndNoOther"),
        new("the walk lacks what lapsed", (database, _) => new DefectiveStore(database) { Walked = part => part with { Found = [.. part.Found.Where(it => it.IsMarked)] } },
            "WalkUncertain_ReachesEveryUncertainRecord_AndNoOther"),
        new("the walk lacks what has no probe", (database, _) => new DefectiveStore(database) { Walked = part => part with { Found = [.. part.Found.Where(it => !database[it.Id].Probe.IsEmpty)] } },
            "WalkUncertain_ReachesEveryUncertainRecord_AndNoOther"),
        new("the walk meets everything", (database, _) => new DefectiveStore(database) { Walked = part => part with { Found = [.. database.Keys.Select(id => new UncertainMark(id, true, default))] } },
            "WalkUncertain_ReachesEveryUncertainRecord_AndNoOther"),
        new("the walk does not say where it ends", (database, _) => new DefectiveStore(database) { Walked = part => part with { IsLast = false } }, "WalkUncertain_ReachesEveryUncertainRecord_AndNoOther"),
        new("the walk does not say where it begins", (database, _) => new DefectiveStore(database) { Walked = part => part with { IsFirst = false } }, "WalkUncertain_ReachesEveryUncertainRecord_AndNoOther"),
        new("an operator deletes what is running", (database, _) => new DefectiveStore(database) { OnForget = (_, id) => database.Remove(id) }, "Forget_DeletesWhatHasEnded_AndNoRunningClaim"),
        new("what an operator deleted comes back", (database, _) => new DefectiveStore(database) { OnForget = (_, id) => database.Remove(id) }, "Forget_KeepsLateWritesOfTheOwnerOut", "Forget_IsAnnounced"),
        new("attempts begin anew after a deletion", (database, _) => new DefectiveStore(database)
        {
            OnClaim = (existing, claim, now) => RecordRules.Claim(existing is { IsForgotten: true } ? null : existing, claim, now),
        }, "Forget_KeepsTheOwnerOfALaterAttemptOut_WhenTheKeyIsClaimedAgain"),
    ];

    private static UncertainRecord ToFound(MemoryStore.Row row) => new(row.Id, row.Record.Fingerprint, row.Record.Attempt, row.Probe, TimeSpan.FromHours(23));

    private static StoredRecord? Unsettled(StoredRecord? existing) => existing is { State: RecordState.Settled } it ? it with { State = RecordState.Claimed } : existing;

    private static StoredRecord? Claimed(StoredRecord? existing, long now) => existing is { State: RecordState.Uncertain } it ? it with { State = RecordState.Claimed, LeaseUntil = now + 1 } : existing;

    private static DefectiveStore.OwnerRule WithoutToken(DefectiveStore.OwnerRule rule) => (existing, claim, now) => rule(existing, claim with { Token = existing?.Token ?? claim.Token }, now);

    /// <summary>The owner of a lower attempt is taken for that of the higher one.</summary>
    private static DefectiveStore.OwnerRule WithoutAttempt(DefectiveStore.OwnerRule rule) =>
        (existing, claim, now) => rule(existing, existing is { } it && it.Attempt > claim.Attempt ? claim with { Token = it.Token, Attempt = it.Attempt } : claim, now);

    private static DefectiveStore.OwnerRule WithoutPuttingBack(DefectiveStore.OwnerRule rule) =>
        (existing, claim, now) => rule(existing, claim, now) is (not WriteResult.Recreated, _) right ? right : (WriteResult.Gone, Nothing);

    private static DefectiveStore.OwnerRule WithinTheLease(DefectiveStore.OwnerRule rule) =>
        (existing, claim, now) => existing is { State: RecordState.Claimed } it && it.LeaseUntil <= now ? (WriteResult.Foreign, Nothing) : rule(existing, claim, now);

    private static Func<MemoryStore.Database, TimeProvider, IIdempotencyStore> TakesOver(Func<StoredRecord, ClaimRequest, long, RecordWrite, RecordWrite> change) => (database, _) => new DefectiveStore(database)
    {
        OnClaim = (existing, claim, now) => RecordRules.Claim(existing, claim, now) is var (result, write) && write.Kind == RecordWriteKind.Update
            ? (result, change(existing!.Value, claim, now, write))
            : RecordRules.Claim(existing, claim, now),
    };

    private static byte[] SortLines(byte[] answer) => Encoding.Latin1.GetBytes(string.Join("\r\n", Encoding.Latin1.GetString(answer).Split("\r\n").Order(StringComparer.Ordinal)));
}
