using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// A bound on the bytes of bodies that are held in memory at the same time (<c>Limits:BufferedBytes</c>), over all requests: many that are
/// each small enough must not exhaust the process together. Replays may fill half, new requests three quarters; the last quarter is
/// for the answers of those that were let in. Room is taken as bytes arrive. Large requests may fill half, and several of one caller a quarter, so
/// that whoever sends many of them takes the room of their own kind, and not of everybody's small ones.
/// </summary>
internal sealed class BufferBudget
{
    /// <summary>In bytes: up to here a request is small.</summary>
    public const int SmallRequest = 64 * 1024;

    private readonly long _forAnswers;
    private readonly long _forRequests;
    private readonly long _forReplays;
    private readonly long _forLarge;
    private readonly long _forCaller;
    private readonly Dictionary<string, long> _ofCallers = [];
    private readonly Lock _lock = new();
    private long _taken;
    private long _large;

    public BufferBudget(LimitSettings limits, IdempotencyMetrics metrics)
    {
        (_forAnswers, _forRequests, _forReplays) = (limits.BufferedBytes, limits.BufferedBytes / 4 * 3, limits.BufferedBytes / 2);
        (_forLarge, _forCaller) = (limits.BufferedBytes / 2, limits.BufferedBytes / 4);
        metrics.ObserveBufferedBytes(() => Volatile.Read(ref _taken));
    }

    /// <summary>More room for a request body, all of it to be given back by <see cref="ReturnOfRequest"/>.</summary>
    /// <param name="bytes">How much more.</param>
    /// <param name="held">What it has already.</param>
    /// <param name="caller">Who sends it; null while it is small.</param>
    public bool TryTakeForRequest(long bytes, long held, string? caller)
    {
        if (caller is null)
        {
            return TryTake(bytes, _forRequests);
        }

        // What it had while it was small counts as large from now on.
        var more = held <= SmallRequest ? held + bytes : bytes;
        lock (_lock)
        {
            var theirs = _ofCallers.GetValueOrDefault(caller);
            var isOnlyOne = theirs == (held > SmallRequest ? held : 0);
            if (_large + more > _forLarge || (!isOnlyOne && theirs + more > _forCaller) || !TryTake(bytes, _forRequests))
            {
                return false;
            }

            _large += more;
            _ofCallers[caller] = theirs + more;
            return true;
        }
    }

    /// <param name="held">All that it has.</param>
    /// <param name="caller">As it was taken for.</param>
    public void ReturnOfRequest(long held, string? caller)
    {
        Return(held);
        if (caller is null)
        {
            return;
        }

        lock (_lock)
        {
            _large -= held;
            var left = _ofCallers[caller] - held;
            if (left > 0)
            {
                _ofCallers[caller] = left;
            }
            else
            {
                _ofCallers.Remove(caller);
            }
        }
    }

    /// <summary>
    /// Room for a replay, to be given back by <see cref="Return"/>: half at most, because a replay that is refused costs nothing, and an
    /// answer that finds no room is lost for its retries.
    /// </summary>
    public bool TryTakeForReplay(long bytes) => TryTake(bytes, _forReplays);

    /// <summary>Room for an answer, to be given back by <see cref="Return"/>.</summary>
    public bool TryTakeForAnswer(long bytes) => TryTake(bytes, _forAnswers);

    public void Return(long bytes) => Interlocked.Add(ref _taken, -bytes);

    private bool TryTake(long bytes, long limit)
    {
        if (Interlocked.Add(ref _taken, bytes) <= limit)
        {
            return true;
        }

        Return(bytes);
        return false;
    }
}
