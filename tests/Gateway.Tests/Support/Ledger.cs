using System.Collections;
using System.Collections.Concurrent;

namespace Gateway.Tests.Support;

/// <summary>
/// What happened, in order and never altered afterwards; entries are added by many threads while tests read. Tests wait for
/// an entry here instead of polling.
/// </summary>
public sealed class Ledger<T> : IEnumerable<T>
{
    private readonly ConcurrentQueue<T> _entries = new();
    private TaskCompletionSource _grown = NewSignal();

    public int Count => _entries.Count;

    public void Add(T entry)
    {
        _entries.Enqueue(entry);
        Interlocked.Exchange(ref _grown, NewSignal()).SetResult();
    }

    /// <summary>The entries so far, as soon as there are at least <paramref name="count"/>.</summary>
    /// <exception cref="TimeoutException">There were fewer when <paramref name="within"/> (default 30 s) was over.</exception>
    public async Task<IReadOnlyList<T>> WaitForCountAsync(int count, TimeSpan? within = null)
    {
        await WaitUntilAsync(() => Count >= count, $"{count} entries", within);
        return [.. _entries];
    }

    /// <summary>The first entry that satisfies <paramref name="wanted"/>, old entries included.</summary>
    /// <exception cref="TimeoutException">None had come when <paramref name="within"/> (default 30 s) was over.</exception>
    public async Task<T> WaitForAsync(Func<T, bool> wanted, TimeSpan? within = null)
    {
        await WaitUntilAsync(() => _entries.Any(wanted), "a matching entry", within);
        return _entries.First(wanted);
    }

    public IEnumerator<T> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task WaitUntilAsync(Func<bool> satisfied, string what, TimeSpan? within)
    {
        var limit = within ?? Bounds.Wait;
        using var deadline = new CancellationTokenSource(limit);
        while (true)
        {
            // The signal is taken before looking, so that an entry added in between is not missed.
            var grown = Volatile.Read(ref _grown).Task;
            if (satisfied())
            {
                return;
            }

            try
            {
                await grown.WaitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Waited {limit} for {what}; the ledger has {Count}:\n{string.Join('\n', _entries)}");
            }
        }
    }
}
