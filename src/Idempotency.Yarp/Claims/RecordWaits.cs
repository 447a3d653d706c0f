using System.Collections.Concurrent;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>How waiting for a record ended.</summary>
internal enum WaitEnd
{
    /// <summary>The record is not in progress any more; <see cref="Waited.Found"/> tells, null when it is gone.</summary>
    Changed,

    /// <summary>Time is up.</summary>
    TimedOut,

    /// <summary>Too many wait already.</summary>
    NoRoom,
}

/// <param name="End">How it ended.</param>
/// <param name="Found">What is on record now, when <see cref="WaitEnd.Changed"/>; null when nothing is.</param>
internal readonly record struct Waited(WaitEnd End, ClaimResult? Found = null);

/// <summary>
/// Requests that wait for a record to end, at this instance. However many wait for one, the store is asked for it once, and again when
/// it says that the record changed; it is asked now and then besides, because such a word may be lost.
/// </summary>
internal sealed class RecordWaits : IDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    private readonly ConcurrentDictionary<RecordId, Watch> _watches = new();
    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly Drain _drain;
    private readonly int _maxWaiters;
    private int _waiters;

    public RecordWaits(IIdempotencyStore store, LimitSettings limits, Drain drain, TimeProvider time)
    {
        (_store, _maxWaiters, _drain, _time) = (store, limits.MaxWaiters, drain, time);
        _store.Changed += Wake;
    }

    /// <param name="id">The record.</param>
    /// <param name="atMost">How long.</param>
    /// <param name="maxPerRecord">How many may wait for this record.</param>
    /// <param name="cancellationToken">The client is gone, or the process ends.</param>
    public async Task<Waited> WaitAsync(RecordId id, TimeSpan atMost, int maxPerRecord, CancellationToken cancellationToken)
    {
        var watch = TryJoin(id, maxPerRecord);
        if (watch is null)
        {
            return new Waited(WaitEnd.NoRoom);
        }

        try
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _drain.GiveUp);
            return new Waited(WaitEnd.Changed, await watch.Task.WaitAsync(atMost, _time, end.Token));
        }
        catch (Exception e) when (e is TimeoutException or StoreUnavailableException
            || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return new Waited(WaitEnd.TimedOut); // or the process is about to end
        }
        finally
        {
            Leave(watch);
        }
    }

    public void Dispose() => _store.Changed -= Wake;

    private Watch? TryJoin(RecordId id, int maxPerRecord)
    {
        if (Interlocked.Increment(ref _waiters) > _maxWaiters)
        {
            Interlocked.Decrement(ref _waiters);
            return null;
        }

        while (true)
        {
            var watch = _watches.GetOrAdd(id, static id => new Watch(id));
            lock (watch)
            {
                if (watch.IsOver)
                {
                    continue; // ended between the two lines; the next one is another
                }

                if (watch.Waiters == maxPerRecord)
                {
                    Interlocked.Decrement(ref _waiters);
                    return null;
                }

                watch.Waiters++;
                watch.Task ??= Task.Run(() => FollowAsync(watch));
                return watch;
            }
        }
    }

    private void Leave(Watch watch)
    {
        Interlocked.Decrement(ref _waiters);
        lock (watch)
        {
            if (--watch.Waiters == 0)
            {
                End(watch);
            }
        }
    }

    private async Task<ClaimResult?> FollowAsync(Watch watch)
    {
        try
        {
            while (true)
            {
                var woken = watch.NextWord();
                var wait = PollInterval;
                try
                {
                    var found = await _store.WatchAsync(watch.Id, CancellationToken.None);
                    if (found is not { State: ClaimState.InProgress } || watch.IsOver)
                    {
                        return found;
                    }

                    wait = found.Value.Remaining < wait ? found.Value.Remaining + TimeSpan.FromMilliseconds(1) : wait;
                }
                catch (StoreUnavailableException) when (!watch.IsOver)
                {
                    // Whoever waits knows that the first request is running; the next look may succeed.
                }

                await Task.WhenAny(woken, Task.Delay(wait, _time));
            }
        }
        finally
        {
            lock (watch)
            {
                End(watch);
            }
        }
    }

    /// <summary>Under the watch's lock: whoever comes now begins a new one.</summary>
    private void End(Watch watch)
    {
        watch.IsOver = true;
        watch.Wake();
        _watches.TryRemove(KeyValuePair.Create(watch.Id, watch));
    }

    private void Wake(RecordId id)
    {
        if (_watches.TryGetValue(id, out var watch))
        {
            watch.Wake();
        }
    }

    private sealed class Watch(RecordId id)
    {
        private volatile TaskCompletionSource _word = NewWord();
        private volatile bool _isOver;

        public RecordId Id => id;

        public int Waiters { get; set; }

        public Task<ClaimResult?> Task { get; set; } = null!;

        public bool IsOver
        {
            get => _isOver;
            set => _isOver = value;
        }

        /// <summary>Completes at the next word from the store. Taken before the store is asked, so that no word falls between.</summary>
        public Task NextWord()
        {
            if (_word.Task.IsCompleted)
            {
                _word = NewWord();
            }

            return _word.Task;
        }

        public void Wake() => _word.TrySetResult();

        private static TaskCompletionSource NewWord() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
