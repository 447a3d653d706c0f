using System.Runtime.InteropServices;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// Settled answers in this instance's memory, so that replaying them needs no store: the least recently used go first. Only what the
/// store acknowledged as settled, which never changes; never past its retention; gone when an operator deletes the record. The word of a
/// deletion at another instance may be lost with a connection, so that no copy lives longer than a minute.
/// </summary>
internal sealed class NearCopies : IDisposable
{
    /// <summary>Of an entry beside its bytes: objects and list.</summary>
    private const int EntrySize = 300;
    private static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(1);

    private readonly NearCopySettings _settings;
    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly Dictionary<RecordId, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _byUse = [];
    private readonly Dictionary<RecordId, long> _forgotten = [];
    private long _bytes;

    public NearCopies(IdempotencySettings settings, IIdempotencyStore store, TimeProvider time)
    {
        (_settings, _store, _time) = (settings.NearCopy, store, time);
        _store.Forgotten += Forget;
    }

    private sealed record Entry(RecordId Id, Fingerprint Fingerprint, ReadOnlyMemory<byte> Answer, long Since, TimeSpan Lives)
    {
        /// <summary>How many are reading it.</summary>
        public int Pins { get; set; }

        /// <summary>Removed while it was read: its bytes count until nobody does.</summary>
        public bool IsGone { get; set; }
    }

    /// <param name="id">The record.</param>
    /// <param name="fingerprint">On record.</param>
    /// <param name="answer">The recorded bytes, which nobody changes.</param>
    /// <param name="since">A timestamp at or before the moment that <paramref name="lives"/> is counted from.</param>
    /// <param name="lives">What is left of the retention.</param>
    public void Add(RecordId id, Fingerprint fingerprint, ReadOnlyMemory<byte> answer, long since, TimeSpan lives)
    {
        if (_settings.MaxEntries == 0 || lives <= TimeSpan.Zero || Size(answer) > _settings.MaxBytes)
        {
            return;
        }

        lock (_lock)
        {
            if (_forgotten.TryGetValue(id, out var at) && _time.GetElapsedTime(at) < MaxAge)
            {
                return; // what was on its way when the record was deleted
            }

            Remove(id);
            _entries[id] = _byUse.AddFirst(new Entry(id, fingerprint, answer, since, lives < MaxAge ? lives : MaxAge));
            _bytes += Size(answer);
            MakeRoom();
        }
    }

    /// <summary>Keeps a copy from going while it is read, so that it need not be counted anywhere else.</summary>
    /// <param name="id">The record.</param>
    /// <param name="body">Of the answer that is read.</param>
    /// <returns>Until disposal; null when that body is not in a copy's own memory.</returns>
    public IDisposable? Pin(RecordId id, ReadOnlyMemory<byte> body)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(id, out var node) || body.IsEmpty
                || !MemoryMarshal.TryGetArray(node.Value.Answer, out var copy) || !MemoryMarshal.TryGetArray(body, out var part) || copy.Array != part.Array)
            {
                return null;
            }

            node.Value.Pins++;
            return new Pinned(this, node.Value);
        }
    }

    /// <summary>Whether an answer of this many bytes is kept at all: not worth making, otherwise.</summary>
    public bool HasRoomFor(long bytes) => _settings.MaxEntries > 0 && EntrySize + bytes <= _settings.MaxBytes;

    /// <summary>Whether an answer of this many bytes is worth making, because it is kept and is not there yet.</summary>
    public bool Wants(RecordId id, long bytes) => HasRoomFor(bytes) && !TryFind(id, out _);

    public bool TryFind(RecordId id, out ClaimResult found)
    {
        lock (_lock)
        {
            found = default;
            if (!_entries.TryGetValue(id, out var node))
            {
                return false;
            }

            if (_time.GetElapsedTime(node.Value.Since) >= node.Value.Lives)
            {
                Remove(id);
                return false;
            }

            _byUse.Remove(node);
            _byUse.AddFirst(node);
            found = new ClaimResult(ClaimState.Settled, node.Value.Fingerprint, Answer: node.Value.Answer);
            return true;
        }
    }

    public void Dispose() => _store.Forgotten -= Forget;

    private void Forget(RecordId id)
    {
        lock (_lock)
        {
            Remove(id);
            foreach (var old in _forgotten.Where(pair => _time.GetElapsedTime(pair.Value) >= MaxAge).Select(pair => pair.Key).ToList())
            {
                _forgotten.Remove(old);
            }

            _forgotten[id] = _time.GetTimestamp();
        }
    }

    private void Remove(RecordId id)
    {
        if (_entries.Remove(id, out var node))
        {
            _byUse.Remove(node);
            node.Value.IsGone = true;
            _bytes -= node.Value.Pins == 0 ? Size(node.Value.Answer) : 0;
        }
    }

    /// <summary>The least recently used that nobody reads go first.</summary>
    private void MakeRoom()
    {
        var node = _byUse.Last;
        while (node is not null && (_entries.Count > _settings.MaxEntries || _bytes > _settings.MaxBytes))
        {
            var next = node.Previous;
            if (node.Value.Pins == 0)
            {
                Remove(node.Value.Id);
            }

            node = next;
        }
    }

    private void Unpin(Entry entry)
    {
        lock (_lock)
        {
            entry.Pins--;
            _bytes -= entry is { Pins: 0, IsGone: true } ? Size(entry.Answer) : 0;
        }
    }

    private static long Size(ReadOnlyMemory<byte> answer) => EntrySize + answer.Length;

    private sealed class Pinned(NearCopies copies, Entry entry) : IDisposable
    {
        private Entry? _entry = entry;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _entry, null) is { } mine)
            {
                copies.Unpin(mine);
            }
        }
    }
}
