using System.Security.Cryptography;
using Idempotency.Storage;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What a process knows and the store does not: how long it is kept, how much of it, and what is said of what is not.</summary>
public sealed class PendingEndsTests : IDisposable
{
    private const int Room = 20_000;
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static readonly byte[] Answer = new byte[1000];

    private readonly FakeTimeProvider _time = new();
    private readonly FakeLogger _log = new();
    private readonly AwayStore _store = new();
    private readonly PendingEnds _pending;

    public PendingEndsTests() => _pending = new PendingEnds(_store, _time, _log);

    private IEnumerable<string> GivenUp => _log.Collector.GetSnapshot().Where(entry => entry.Id.Id == 2013).Select(entry => entry.Message);

    public void Dispose() => _store.DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <param name="end">How the claim ended.</param>
    /// <param name="retention">In minutes; the lease is half of one.</param>
    /// <param name="kept">How long it is tried, in minutes.</param>
    [Theory]
    [InlineData(ClaimEnd.Settle, 1440, 10.0)]
    [InlineData(ClaimEnd.Settle, 5, 5.0)]
    [InlineData(ClaimEnd.MarkUncertain, 1440, 0.5)]
    [InlineData(ClaimEnd.Release, 60, 60.0)]
    public async Task AnEnd_IsKeptAsLongAsItIsWorthSomething(object end, int retention, double kept)
    {
        Assert.True(Add((ClaimEnd)end, retention: TimeSpan.FromMinutes(retention)));
        _time.Advance(TimeSpan.FromMinutes(kept) - TimeSpan.FromSeconds(1));
        await _pending.RetryAsync();
        Assert.Equal(1, _pending.Count);

        _time.Advance(TimeSpan.FromSeconds(2));
        await _pending.RetryAsync();

        Assert.Equal(0, _pending.Count);
        Assert.Contains("in time", Assert.Single(GivenUp), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAnswer_IsRecorded_LongAfterItsLease_WhenTheStoreIsBack()
    {
        Add(ClaimEnd.Settle);
        _time.Advance(TimeSpan.FromMinutes(9));
        _store.IsBack = true;

        await _pending.RetryAsync();

        Assert.Equal(1, _store.Settled);
        Assert.Empty(GivenUp);
    }

    [Fact]
    public void AFloodOfReleases_CostsNoAnswer_AndAFloodOfAnswersNoRelease()
    {
        foreach (var _ in Enumerable.Range(0, Room))
        {
            Assert.True(Add(ClaimEnd.Release));
            Assert.True(Add(ClaimEnd.Settle));
        }

        Assert.False(Add(ClaimEnd.Release));
        Assert.False(Add(ClaimEnd.MarkUncertain));
        Assert.False(Add(ClaimEnd.Settle));
        Assert.Equal(3, GivenUp.Count());
        Assert.All(GivenUp, message => Assert.Contains("too many wait", message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Answers_AreBoundInBytes_WhichComeFreeAgain_AndBindNothingElse()
    {
        var large = new byte[16 * 1024 * 1024];
        foreach (var _ in Enumerable.Range(0, 4))
        {
            Assert.True(Add(ClaimEnd.Settle, large));
        }

        Assert.False(Add(ClaimEnd.Settle, Answer));
        Assert.True(Add(ClaimEnd.Release));
        _store.IsBack = true;
        await _pending.RetryAsync();

        Assert.Equal(0, _pending.Count);
        Assert.True(Add(ClaimEnd.Settle, large));
    }

    private bool Add(ClaimEnd end, byte[]? answer = null, TimeSpan? retention = null)
    {
        var id = new RecordId(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));
        var claim = new ClaimRequest(id, ClaimToken.Create(), default, Lease, retention ?? TimeSpan.FromDays(1));
        return _pending.Add(claim, end, end == ClaimEnd.Settle ? answer ?? Answer : default, _time.GetTimestamp());
    }

    private sealed class AwayStore : StoreStub
    {
        public bool IsBack { get; set; }

        public int Settled { get; private set; }

        public override ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
        {
            Settled += IsBack ? 1 : 0;
            return End();
        }

        public override ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) => End();

        public override ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => End();

        private ValueTask<WriteResult> End() => IsBack ? ValueTask.FromResult(WriteResult.Done) : throw new StoreUnavailableException("away");
    }
}
