namespace Idempotency.Storage;

/// <summary>
/// The last write of each claim that this process had acknowledged, to be put back when the server lost its newest ones (a restart, a
/// failover). Bounded in time and size; what is older than a minute has long reached the server's disk and its replicas. A claim that
/// ended takes the place of its beginning, so that a request is held once. Where room is short, the answers go first, the oldest first: what is
/// put back then is that the outcome is uncertain, which keeps the request from running again. A few large answers push out no claim.
/// </summary>
internal sealed class WriteJournal(TimeProvider time)
{
    private const long MaxBytes = 32 * 1024 * 1024;

    /// <summary>An entry without what it points at: its own fields, its place in the list and in the index.</summary>
    private const int EntrySize = 300;

    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(60);

    // By age, the oldest first; and by token.
    private readonly LinkedList<Entry> _entries = [];
    private readonly Dictionary<ClaimToken, LinkedListNode<Entry>> _last = [];
    private readonly Lock _lock = new();
    private LinkedListNode<Entry>? _oldestWhole; // before it, no answer is left
    private long _bytes;

    /// <param name="Claim">Whose write it was.</param>
    /// <param name="End">How the claim ended; null for the claim itself.</param>
    /// <param name="Answer">The answer, when settled.</param>
    /// <param name="At">When, as a timestamp.</param>
    public readonly record struct Entry(ClaimRequest Claim, ClaimEnd? End, ReadOnlyMemory<byte> Answer, long At);

    /// <summary>
    /// Remembers a write. An end is final: neither a renewal that was acknowledged after it undoes it, nor the doubt about a later try to
    /// settle undoes an answer.
    /// </summary>
    public void Add(in ClaimRequest claim, ClaimEnd? end, ReadOnlyMemory<byte> answer = default)
    {
        var entry = new Entry(claim, end, answer, time.GetTimestamp());
        lock (_lock)
        {
            if (_last.TryGetValue(claim.Token, out var known) && IsStillTrue(known.Value))
            {
                if ((known.Value.End is not null && end is null) || (known.Value.End == ClaimEnd.Settle && end == ClaimEnd.MarkUncertain))
                {
                    return;
                }
            }

            if (known is not null)
            {
                Remove(known);
            }

            var node = _last[claim.Token] = _entries.AddLast(entry);
            _oldestWhole ??= node;
            _bytes += SizeOf(entry);
            while (_entries.First is { } oldest && time.GetElapsedTime(oldest.Value.At) > MaxAge)
            {
                Remove(oldest);
            }

            MakeRoom();
        }
    }

    /// <summary>The last write of each claim, unless its retention is over, when its key may be another's.</summary>
    public IReadOnlyList<Entry> Last()
    {
        lock (_lock)
        {
            return [.. _entries.Where(IsStillTrue)];
        }
    }

    /// <summary>
    /// Whether the claim has ended otherwise since the journal was read: to be asked right before an entry is put back, and right after, when a
    /// claim that was released meanwhile is to be released again.
    /// </summary>
    /// <param name="entry">As it was read.</param>
    /// <param name="last">What is true instead.</param>
    public bool IsOutdated(in Entry entry, out Entry last)
    {
        lock (_lock)
        {
            last = _last.TryGetValue(entry.Claim.Token, out var known) ? known.Value : entry;
            return last.End != entry.End;
        }
    }

    private bool IsStillTrue(Entry entry)
    {
        var age = time.GetElapsedTime(entry.At);
        return age <= MaxAge && age <= entry.Claim.Retention;
    }

    private void MakeRoom()
    {
        while (_bytes > MaxBytes && _oldestWhole is { } whole)
        {
            _oldestWhole = whole.Next;
            if (whole.Value.End == ClaimEnd.Settle)
            {
                _bytes -= whole.Value.Answer.Length;
                whole.Value = whole.Value with { End = ClaimEnd.MarkUncertain, Answer = default };
            }
        }

        while (_bytes > MaxBytes && _entries.First is { } oldest)
        {
            Remove(oldest);
        }
    }

    private void Remove(LinkedListNode<Entry> node)
    {
        if (node == _oldestWhole)
        {
            _oldestWhole = node.Next;
        }

        _entries.Remove(node);
        _last.Remove(node.Value.Claim.Token);
        _bytes -= SizeOf(node.Value);
    }

    /// <summary>What it keeps from being collected; the probe lives as long as its claim.</summary>
    private static int SizeOf(in Entry entry) => EntrySize + entry.Answer.Length + entry.Claim.Probe.Length;
}
