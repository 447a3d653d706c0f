using System.Collections.Concurrent;

namespace Gateway.Storage;

/// <summary>
/// Ends of claims that the store did not take at once, repeated in the background until the lease is over. Bounded: a store that stays
/// away must not fill the memory. A claim whose end is given up reads as uncertain when its lease is over.
/// </summary>
internal sealed class PendingEnds(IIdempotencyStore store, TimeProvider time, ILogger logger)
{
    private const long MaxBytes = 64 * 1024 * 1024;
    private const int MaxCount = 20_000;

    /// <summary>How many are repeated at a time; a batch that fails as a whole ends the round.</summary>
    private const int Batch = 100;

    private readonly ConcurrentDictionary<ClaimToken, Entry> _entries = new();
    private long _bytes;

    private sealed record Entry(ClaimRequest Claim, ClaimEnd End, ReadOnlyMemory<byte> Answer, long Since)
    {
        public long TriedAt { get; set; }
    }

    public int Count => _entries.Count;

    /// <param name="claim">The claim.</param>
    /// <param name="end">How it ended.</param>
    /// <param name="answer">The answer, when settled.</param>
    /// <param name="since">When the claim's lease last began, as a timestamp.</param>
    public void Add(in ClaimRequest claim, ClaimEnd end, ReadOnlyMemory<byte> answer, long since)
    {
        if (_entries.Count >= MaxCount || Interlocked.Read(ref _bytes) + answer.Length > MaxBytes)
        {
            StoreLog.SettleGivenUp(logger, claim.Id.Short);
            return;
        }

        if (_entries.TryAdd(claim.Token, new Entry(claim, end, answer, since)))
        {
            Interlocked.Add(ref _bytes, answer.Length);
        }
    }

    /// <summary>Tries all once, those first that waited longest, and gives up those whose lease is over.</summary>
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
            StoreLog.SettleGivenUp(logger, entry.Claim.Id.Short);
        }
    }

    /// <summary>One last try before the process ends; what fails is logged.</summary>
    public async Task FinishAsync()
    {
        await Task.WhenAll(_entries.Values.Select(TryAsync));
        foreach (var entry in _entries.Values)
        {
            StoreLog.SettleGivenUp(logger, entry.Claim.Id.Short);
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
            if (result == WriteResult.Foreign && entry.End != ClaimEnd.Release)
            {
                StoreLog.ClaimForeign(logger, entry.Claim.Id.Short);
            }
            else if (result == WriteResult.TakenOver && entry.End != ClaimEnd.Release)
            {
                StoreLog.ClaimTakenOver(logger, entry.Claim.Id.Short);
            }
            else
            {
                // A release that meets another owner only comes late: the key was free before.
                StoreLog.SettledLate(logger, entry.Claim.Id.Short);
            }

            return true;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    /// <summary>A release is true for ever, and a claim whose request was never sent must not block its key: it is kept up longer.</summary>
    private bool IsOver(Entry entry) =>
        time.GetElapsedTime(entry.Since) > (entry.End == ClaimEnd.Release ? entry.Claim.Retention : entry.Claim.Lease);

    private void Remove(Entry entry)
    {
        if (_entries.TryRemove(entry.Claim.Token, out _))
        {
            Interlocked.Add(ref _bytes, -entry.Answer.Length);
        }
    }
}
