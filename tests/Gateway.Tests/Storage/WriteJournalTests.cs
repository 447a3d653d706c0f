using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class WriteJournalTests
{
    private readonly Clock _clock = new();

    /// <summary>What a restarted server is given must not bring back a key that is free, nor fight with who has it now.</summary>
    [Theory]
    [InlineData(5, 4, true)]
    [InlineData(5, 6, false)]
    [InlineData(3600, 59, true)]
    [InlineData(3600, 61, false)]
    public void AWrite_IsPutBack_WhileItIsYoungAndItsRetentionLasts(int retentionSeconds, int ageSeconds, bool isPutBack)
    {
        var journal = new WriteJournal(_clock);
        var claim = NewClaim() with { Retention = TimeSpan.FromSeconds(retentionSeconds) };
        journal.Add(claim, ClaimEnd.Settle);

        _clock.Now = TimeSpan.FromSeconds(ageSeconds);

        Assert.Equal(isPutBack, journal.Last().Count == 1);
    }

    [Fact]
    public void AnAnswer_StaysTheLastWord_WhenPuttingItBackFails()
    {
        var journal = new WriteJournal(_clock);
        var claim = NewClaim();
        journal.Add(claim, end: null);
        journal.Add(claim, ClaimEnd.Settle, new byte[] { 1 });
        journal.Add(claim, ClaimEnd.MarkUncertain);

        Assert.Equal(ClaimEnd.Settle, Assert.Single(journal.Last()).End);
    }

    [Theory]
    [InlineData(ClaimEnd.Settle)]
    [InlineData(ClaimEnd.MarkUncertain)]
    [InlineData(ClaimEnd.Release)]
    internal void AnEnd_TakesThePlaceOfItsClaim_AndARenewalThatComesLateDoesNotUndoIt(ClaimEnd end)
    {
        var journal = new WriteJournal(_clock);
        var claim = NewClaim();
        journal.Add(claim, end: null);
        journal.Add(claim, end);
        journal.Add(claim, end: null);

        Assert.Equal(end, Assert.Single(journal.Last()).End);
    }

    [Fact]
    public void AnAnswerAfterADoubt_IsTheLastWord()
    {
        var journal = new WriteJournal(_clock);
        var claim = NewClaim();
        journal.Add(claim, ClaimEnd.MarkUncertain);
        journal.Add(claim, ClaimEnd.Settle, new byte[] { 1 });

        Assert.Equal([1], Assert.Single(journal.Last()).Answer.ToArray());
    }

    /// <summary>The claim of a long request is renewed, and what is put back is as old as its last renewal.</summary>
    [Fact]
    public void ARenewal_KeepsItsClaim_BeyondAMinute()
    {
        var journal = new WriteJournal(_clock);
        var (renewed, left) = (NewClaim(), NewClaim());
        journal.Add(renewed, end: null);
        journal.Add(left, end: null);
        _clock.Now = TimeSpan.FromSeconds(40);
        journal.Add(renewed, end: null);
        _clock.Now = TimeSpan.FromSeconds(80);

        Assert.Equal(renewed.Token, Assert.Single(journal.Last()).Claim.Token);
    }

    /// <summary>What a put-back asks before and after each write: a claim that ended meanwhile must not come back as a claim.</summary>
    [Fact]
    public void AnEntryThatWasRead_IsOutdated_OnceItsClaimHasEnded_AndNotByARenewal()
    {
        var journal = new WriteJournal(_clock);
        var (running, released) = (NewClaim(), NewClaim());
        journal.Add(running, end: null);
        journal.Add(released, end: null);
        var read = journal.Last();

        journal.Add(running, end: null);
        journal.Add(released, ClaimEnd.Release);

        Assert.Equal([null, ClaimEnd.Release], read.Select(entry => journal.IsOutdated(entry, out var last) ? last.End : null));
        Assert.All(journal.Last(), entry => Assert.False(journal.IsOutdated(entry, out _)));
    }

    /// <summary>A request is one entry, not a claim and an answer: more than 60,000 of them fit, with answers of 200 bytes.</summary>
    [Fact]
    public void ARequest_IsHeldOnce()
    {
        const int Requests = 60_000;
        var journal = new WriteJournal(_clock);
        for (var i = 0; i < Requests; i++)
        {
            var claim = NewClaim();
            journal.Add(claim, end: null);
            journal.Add(claim, ClaimEnd.Settle, new byte[200]);
        }

        Assert.Equal(Requests, journal.Last().Count);
    }

    /// <summary>32 MB in all. What has lost its answer is put back as uncertain, and a claim that is worked on is not pushed out at all.</summary>
    [Fact]
    public void WhereRoomIsShort_TheOldestAnswersGiveWay_AndNoClaimDoes()
    {
        var journal = new WriteJournal(_clock);
        var running = NewClaim();
        journal.Add(running, end: null);
        var claims = Enumerable.Range(0, 100).Select(_ => NewClaim()).ToList();
        foreach (var claim in claims)
        {
            journal.Add(claim, end: null);
            journal.Add(claim, ClaimEnd.Settle, new byte[1 << 20]);
        }

        var last = journal.Last();
        Assert.Equal([running.Token, .. claims.Select(claim => claim.Token)], last.Select(entry => entry.Claim.Token));
        Assert.Null(last[0].End);
        Assert.All(last.Skip(1).Take(69), entry => Assert.Equal((ClaimEnd.MarkUncertain, 0), (entry.End, entry.Answer.Length)));
        Assert.All(last.Skip(70), entry => Assert.Equal((ClaimEnd.Settle, 1 << 20), (entry.End, entry.Answer.Length)));
    }

    [Fact]
    public void Probes_Count_AndTheOldestGiveWay()
    {
        var journal = new WriteJournal(_clock);
        var claims = Enumerable.Range(0, 100).Select(_ => NewClaim() with { Probe = new byte[1 << 20] }).ToList();
        foreach (var claim in claims)
        {
            journal.Add(claim, ClaimEnd.Settle, new byte[1]);
        }

        Assert.Equal(claims[^31..].Select(claim => claim.Token), journal.Last().Select(entry => entry.Claim.Token));
    }

    private static ClaimRequest NewClaim() => new(default, ClaimToken.Create(), default, TimeSpan.FromSeconds(2), TimeSpan.FromHours(1));

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
