using System.Diagnostics.Metrics;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>The bounds of calls to a server that behaves as badly as it can.</summary>
public sealed class AnswersServerTests : IDisposable
{
    private const int Budget = 4 * 1024 * 1024;

    private readonly FakeTimeProvider _time = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly FakeLogger<AnswersServer> _log = new();
    private readonly ScriptedCache _cache = new();
    private readonly BufferBudget _budget;
    private readonly AnswersServer _server;

    public AnswersServerTests()
    {
        _budget = new BufferBudget(new LimitSettings { BufferedBytes = Budget }, new IdempotencyMetrics(_services.GetRequiredService<IMeterFactory>()));
        _server = new AnswersServer(_cache, "Redis (there)", _budget, _time, _log);
    }

    public void Dispose()
    {
        _server.Dispose();
        _services.Dispose();
    }

    [Fact]
    public async Task AWriteThatIsNotAcknowledgedInTime_IsGivenUp_AndItsBytesCountUntilTheClientIsDoneWithThem()
    {
        var hangs = new TaskCompletionSource<byte[]?>();
        _cache.Answer = () => hangs.Task;
        var write = WriteAsync(Budget - 1);

        _time.Advance(AnswersServer.WriteTimeout - TimeSpan.FromMilliseconds(1));
        Assert.False(write.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.False(await write);
        Assert.False(await WriteAsync(2)); // no room: not even tried
        Assert.Equal(1, _cache.Calls);
        hangs.SetResult(null);
        _cache.Answer = () => Task.FromResult<byte[]?>(null);
        Assert.True(await WriteAsync(Budget));
    }

    [Fact]
    public async Task AServerThatFails_IsLeftAlone_ForReadsAndWritesApart_AndTheLogSaysItOnce()
    {
        _cache.Answer = () => Task.FromException<byte[]?>(new InvalidOperationException("OOM command not allowed; and much more"));
        for (var i = 0; i < 10; i++)
        {
            Assert.False(await WriteAsync(1));
        }

        Assert.Equal(Breaker.FailuresToOpen, _cache.Calls);
        _cache.Answer = () => Task.FromResult<byte[]?>([7]);
        Assert.Equal((true, 7), await ReadAsync());
        Assert.False(await WriteAsync(1));
        _time.Advance(Breaker.Break);
        Assert.True(await WriteAsync(1));

        var (failing, recovered) = (_log.Collector.GetSnapshot()[0], _log.Collector.GetSnapshot()[1]);
        Assert.Equal(2, _log.Collector.Count);
        Assert.Equal((2050, LogLevel.Warning), (failing.Id.Id, failing.Level));
        Assert.Contains("Redis (there) is failing, bodies cannot be written: OOM command not allowed.", failing.Message, StringComparison.Ordinal);
        Assert.Equal(2051, recovered.Id.Id);
    }

    [Fact]
    public async Task AReadThatIsNotAnswered_IsNotAnAnswer_AndAnEmptyOneIs()
    {
        _cache.Answer = () => new TaskCompletionSource<byte[]?>().Task;
        var read = _server.ReadAsync("key", 1);
        _time.Advance(AnswersServer.ReadTimeout);
        Assert.Equal((false, null), await read);

        _cache.Answer = () => Task.FromResult<byte[]?>(null);
        Assert.Equal((true, null), await _server.ReadAsync("key", 1));
        Assert.Equal((false, null), await _server.ReadAsync("key", Budget)); // more than replays may take
    }

    [Fact]
    public async Task CallsThatGoOnInTheClient_AreBoundedInNumber()
    {
        var hangs = new TaskCompletionSource<byte[]?>();
        _cache.Answer = () => hangs.Task;
        var writes = Enumerable.Range(0, 1200).Select(_ => WriteAsync(1)).ToList();

        Assert.Equal(1000, _cache.Calls);
        hangs.SetResult(null);
        Assert.Equal(1000, (await Task.WhenAll(writes)).Count(isDone => isDone));
    }

    [Fact]
    public async Task Lifetimes_AreAbsolute()
    {
        await _server.TryWriteAsync("key", 1, () => [1], TimeSpan.FromHours(2));

        Assert.Equal((TimeSpan.FromHours(2), null), (_cache.Options!.AbsoluteExpirationRelativeToNow, _cache.Options.SlidingExpiration));
    }

    private Task<bool> WriteAsync(int size) => _server.TryWriteAsync("key", size, () => [1], TimeSpan.FromMinutes(1));

    private async Task<(bool IsAnswered, int? First)> ReadAsync() => await _server.ReadAsync("key", 1) is var (isAnswered, value) ? (isAnswered, value?[0]) : default;

    /// <summary>Answers as a test says.</summary>
    private sealed class ScriptedCache : IDistributedCache
    {
        public Func<Task<byte[]?>> Answer { get; set; } = () => Task.FromResult<byte[]?>(null);

        public int Calls { get; private set; }

        public DistributedCacheEntryOptions? Options { get; private set; }

        public Task<byte[]?> GetAsync(string key, CancellationToken token = default)
        {
            Calls++;
            return Answer();
        }

        public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
        {
            Calls++;
            Options = options;
            return Answer();
        }

        public byte[]? Get(string key) => throw new NotSupportedException();

        public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();

        public void Refresh(string key) => throw new NotSupportedException();

        public Task RefreshAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

        public void Remove(string key) => throw new NotSupportedException();

        public Task RemoveAsync(string key, CancellationToken token = default) => throw new NotSupportedException();
    }
}
