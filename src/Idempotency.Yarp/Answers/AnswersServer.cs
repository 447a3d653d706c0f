using Idempotency.Storage;
using Microsoft.Extensions.Caching.Distributed;

namespace Idempotency.Yarp;

/// <summary>
/// The answers' server (<c>Store:Answers</c>), which may lose everything and be away at any time. Every call is bounded in time, in number
/// and in bytes, and a server that does not answer is left alone for a moment (<see cref="Breaker"/>), reads and writes apart: one that is
/// full still reads.
/// </summary>
internal sealed class AnswersServer(IDistributedCache server, string description, BufferBudget budget, TimeProvider time, ILogger<AnswersServer> logger)
    : BackgroundService
{
    /// <summary>A client waits for its first answer meanwhile; about 30 MB at 1 Gbit/s.</summary>
    public static readonly TimeSpan WriteTimeout = TimeSpan.FromMilliseconds(300);

    /// <summary>Longer than for a write, because there is nothing else to answer with.</summary>
    public static readonly TimeSpan ReadTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Given-up calls included: they go on in the client.</summary>
    private const int MaxOutstanding = 1000;

    private readonly Breaker _writes = new(time);
    private readonly Breaker _reads = new(time);
    private int _outstanding;

    /// <summary>For banners and logs, without credentials.</summary>
    public string Description => description;

    /// <returns>True when the server has acknowledged it.</returns>
    /// <param name="key">The whole name.</param>
    /// <param name="size">Of the value, in bytes.</param>
    /// <param name="value">Makes the value, once there is room for it.</param>
    /// <param name="lifetime">From now.</param>
    public async Task<bool> TryWriteAsync(string key, int size, Func<byte[]> value, TimeSpan lifetime)
    {
        if (!budget.TryTakeForAnswer(size))
        {
            return false;
        }

        var (isDone, _) = await CallAsync(
            _writes,
            "written",
            WriteTimeout,
            size,
            async () =>
            {
                await server.SetAsync(key, value(), new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = lifetime }, CancellationToken.None);
                return true;
            });
        return isDone;
    }

    /// <returns>Whether the server has answered, and the value; null when it has none.</returns>
    /// <param name="key">The whole name.</param>
    /// <param name="size">What the value should be, in bytes.</param>
    public async Task<(bool IsAnswered, byte[]? Value)> ReadAsync(string key, int size) =>
        budget.TryTakeForReplay(size) ? await CallAsync(_reads, "read", ReadTimeout, size, () => server.GetAsync(key, CancellationToken.None)) : default;

    /// <summary>Connects before the first request needs it, and says at the start when the server is away.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var tries = 0; tries < Breaker.FailuresToOpen && !(await ReadAsync("nothing", size: 0)).IsAnswered; tries++)
        {
            // Again: one failure does not mean much.
        }
    }

    /// <summary>Gives the room for <paramref name="bytes"/> back when the client is done with them.</summary>
    private async Task<(bool IsAnswered, T? Value)> CallAsync<T>(Breaker breaker, string what, TimeSpan limit, int bytes, Func<Task<T>> call)
    {
        if (Interlocked.Increment(ref _outstanding) > MaxOutstanding || !breaker.TryEnter())
        {
            Return(bytes);
            return default;
        }

        Task<T>? underWay = null;
        try
        {
            underWay = call();
            var value = await underWay.WaitAsync(limit, time);
            if (breaker.Succeeded())
            {
                StoreLog.AnswersRecovered(logger, description, what);
            }

            return (true, value);
        }
#pragma warning disable CA1031 // whatever an implementation throws, the caller got no answer, and goes on without
        catch (Exception e)
#pragma warning restore CA1031
        {
            if (breaker.Failed())
            {
                StoreLog.AnswersFailing(logger, description, what, e is TimeoutException ? $"no answer within {limit.TotalMilliseconds} ms" : e.Message.Split(';')[0]);
            }

            return default;
        }
        finally
        {
            if (underWay is { IsCompleted: false })
            {
                _ = underWay.ContinueWith(_ => Return(bytes), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
            else
            {
                Return(bytes);
            }
        }
    }

    private void Return(int bytes)
    {
        Interlocked.Decrement(ref _outstanding);
        budget.Return(bytes);
    }
}
