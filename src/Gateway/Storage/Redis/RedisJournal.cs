using System.Collections.Concurrent;

namespace Gateway.Storage.Redis;

/// <summary>
/// The last writes that this process had acknowledged, to be put back when the server lost its newest ones (a restart, a failover).
/// Bounded in time and size; what is older than a minute has long reached the server's disk and its replicas.
/// </summary>
internal sealed class RedisJournal(TimeProvider time)
{
    private const long MaxBytes = 32 * 1024 * 1024;
    private const int EntrySize = 200;
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(60);

    private readonly ConcurrentQueue<Entry> _entries = new();
    private long _bytes;

    /// <param name="Claim">Whose write it was.</param>
    /// <param name="End">How the claim ended; null for the claim itself.</param>
    /// <param name="Answer">The answer, when settled.</param>
    /// <param name="At">When, as a timestamp.</param>
    public readonly record struct Entry(ClaimRequest Claim, ClaimEnd? End, ReadOnlyMemory<byte> Answer, long At);

    public void Add(in ClaimRequest claim, ClaimEnd? end, ReadOnlyMemory<byte> answer = default)
    {
        _entries.Enqueue(new Entry(claim, end, answer, time.GetTimestamp()));
        Interlocked.Add(ref _bytes, EntrySize + answer.Length);
        while (_entries.TryPeek(out var oldest)
            && (Interlocked.Read(ref _bytes) > MaxBytes || time.GetElapsedTime(oldest.At) > MaxAge)
            && _entries.TryDequeue(out oldest))
        {
            Interlocked.Add(ref _bytes, -(EntrySize + oldest.Answer.Length));
        }
    }

    /// <summary>
    /// The last write of each claim, unless its retention is over, when its key may be another's. An end is final: a renewal that was
    /// acknowledged after it does not undo it.
    /// </summary>
    public IReadOnlyList<Entry> Last()
    {
        var last = new Dictionary<ClaimToken, Entry>();
        foreach (var entry in _entries.Where(IsStillTrue))
        {
            if (entry.End == ClaimEnd.MarkUncertain && last.TryGetValue(entry.Claim.Token, out var settled) && settled.End == ClaimEnd.Settle)
            {
                continue; // a put-back that failed: the answer was acknowledged before
            }

            if (entry.End is not null || !last.TryGetValue(entry.Claim.Token, out var earlier) || earlier.End is null)
            {
                last[entry.Claim.Token] = entry;
            }
        }

        return [.. last.Values];
    }

    private bool IsStillTrue(Entry entry)
    {
        var age = time.GetElapsedTime(entry.At);
        return age <= MaxAge && age <= entry.Claim.Retention;
    }
}
