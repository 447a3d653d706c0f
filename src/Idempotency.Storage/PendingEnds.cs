using System.Collections.Concurrent;

namespace Idempotency.Storage;

/// <summary>
/// Ends of claims that the store did not take at once, repeated in the background. Bounded in number, in bytes and in time: a store that stays
/// away must not fill the memory. A claim whose end is given up reads as uncertain when its lease is over.
/// </summary>
internal sealed class PendingEnds(IIdempotencyStore store, TimeProvider time, ILogger logger)
{
    private const long MaxBytes = 64 * 1024 * 1024;

    /// <summary>Of answers, and apart from them of everything else: a flood of the one must not cost the other.</summary>
    private const int MaxCount = 20_000;

    /// <summary>How many are repeated at a time; a batch that fails as a whole ends the round.</summary>
    private const int Batch = 100;

    /// <summary>An answer that the process has is kept beyond the lease, because its owner may record it late (decision 0004), but not for ever.</summary>
    private static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<ClaimToken, Entry> _entries = new();
    private long _bytes;
    private int _answers;
    private int _others;

    private sealed record Entry(ClaimRequest Claim, ClaimEnd End, ReadOnlyMemory<byte> Answer, long Since)
    {
        public long TriedAt { get; set; }
    }

    public int Count => _entries.Count;

    /// <param name="claim">The claim.</param>
    /// <param name="end">How it ended.</param>
    /// <param name="answer">The answer, when settled.</param>
    /// <param name="since">When the claim's lease last began, as a timestamp.</param>
    /// <returns>False when there is no room; nobody tries again then.</returns>
    public bool Add(in ClaimRequest claim, ClaimEnd end, ReadOnlyMemory<byte> answer, long since)
    {
        var entry = new Entry(claim, end, answer, since);
        if (!TryReserve(entry))
        {
            StoreLog.SettleGivenUp(logger, claim.Id.Short, "too many wait for the store");
            return false;
        }

        if (!_entries.TryAdd(claim.Token, entry))
        {
            Reserve(entry, -1); // it waits already
        }

        return true;
    }

    /// <summary>Tries all once, those first that waited longest, and gives up those whose time is over.</summary>
    public async Task RetryAsync()
    {
        foreach (var batch in _entries.Values.OrderBy(entry => entry.TriedAt).Chunk(Batch))
        {
            var results = await Task.WhenAll(batch.Select(TryAsync));
            if (!results.Contains(true))
            {
                break;
            }
        }

        foreach (var entry in _entries.Values.Where(IsOver))
        {
            Remove(entry);
            StoreLog.SettleGivenUp(logger, entry.Claim.Id.Short, "the store did not take it in time");
        }
    }

    /// <summary>One last try before the process ends; what fails is logged.</summary>
    public async Task FinishAsync()
    {
        await Task.WhenAll(_entries.Values.Select(TryAsync));
        foreach (var entry in _entries.Values)
        {
            StoreLog.SettleGivenUp(logger, entry.Claim.Id.Short, "the process ends");
        }
    }

    /// <returns>False when the store did not answer.</returns>
    private async Task<bool> TryAsync(Entry entry)
    {
        entry.TriedAt = time.GetTimestamp();
        try
        {
            var result = await store.EndAsync(entry.Claim, entry.End, entry.Answer);
            Remove(entry);
            if (!StoreLog.ReportIfAnothers(logger, entry.Claim, result, entry.End == ClaimEnd.Release))
            {
                StoreLog.SettledLate(logger, entry.Claim.Id.Short);
            }

            return true;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    /// <summary>
    /// A release is true for ever, and a claim whose request was never sent must not block its key. What is uncertain reads so by itself when its
    /// lease is over.
    /// </summary>
    private bool IsOver(Entry entry) => time.GetElapsedTime(entry.Since) > entry.End switch
    {
        ClaimEnd.Release => entry.Claim.Retention,
        ClaimEnd.Settle => entry.Claim.Retention < MaxAge ? entry.Claim.Retention : MaxAge,
        _ => entry.Claim.Lease,
    };

    private void Remove(Entry entry)
    {
        if (_entries.TryRemove(entry.Claim.Token, out _))
        {
            Reserve(entry, -1);
        }
    }

    private bool TryReserve(Entry entry)
    {
        if (Reserve(entry, 1) <= MaxCount && (entry.Answer.IsEmpty || Interlocked.Read(ref _bytes) <= MaxBytes))
        {
            return true;
        }

        Reserve(entry, -1);
        return false;
    }

    /// <returns>How many of its kind there are then.</returns>
    private int Reserve(Entry entry, int sign)
    {
        Interlocked.Add(ref _bytes, (long)sign * entry.Answer.Length);
        return Interlocked.Add(ref entry.End == ClaimEnd.Settle ? ref _answers : ref _others, sign);
    }
}
