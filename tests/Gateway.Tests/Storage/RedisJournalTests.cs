using Gateway.Storage;
using Gateway.Storage.Redis;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class RedisJournalTests
{
    private readonly FakeTimeProvider _time = new();

    /// <summary>What a restarted server is given must not bring back a key that is free, nor fight with who has it now.</summary>
    [Theory]
    [InlineData(5, 4, true)]
    [InlineData(5, 6, false)]
    [InlineData(3600, 59, true)]
    [InlineData(3600, 61, false)]
    public void AWrite_IsPutBack_WhileItIsYoungAndItsRetentionLasts(int retentionSeconds, int ageSeconds, bool isPutBack)
    {
        var journal = new RedisJournal(_time);
        var claim = new ClaimRequest(default, ClaimToken.Create(), default, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(retentionSeconds));
        journal.Add(claim, ClaimEnd.Settle);

        _time.Advance(TimeSpan.FromSeconds(ageSeconds));

        Assert.Equal(isPutBack, journal.Last().Count == 1);
    }

    [Fact]
    public void AnAnswer_StaysTheLastWord_WhenPuttingItBackFails()
    {
        var journal = new RedisJournal(_time);
        var claim = new ClaimRequest(default, ClaimToken.Create(), default, TimeSpan.FromSeconds(2), TimeSpan.FromHours(1));
        journal.Add(claim, end: null);
        journal.Add(claim, ClaimEnd.Settle, new byte[] { 1 });
        journal.Add(claim, ClaimEnd.MarkUncertain);

        Assert.Equal(ClaimEnd.Settle, Assert.Single(journal.Last()).End);
    }
}
