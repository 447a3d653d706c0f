using Gateway.Configuration;
using Gateway.Telemetry;

namespace Gateway.Idempotency;

/// <summary>
/// A bound on the bytes of bodies that are held in memory at the same time (<c>Limits:BufferedBytes</c>), over all requests: many that are
/// each small enough must not exhaust the process together. Replays may fill half, new requests three quarters; the last quarter is
/// for the answers of those that were let in.
/// </summary>
internal sealed class BufferBudget
{
    private readonly long _forAnswers;
    private readonly long _forRequests;
    private readonly long _forReplays;
    private long _taken;

    public BufferBudget(LimitSettings limits, GatewayMetrics metrics)
    {
        (_forAnswers, _forRequests, _forReplays) = (limits.BufferedBytes, limits.BufferedBytes / 4 * 3, limits.BufferedBytes / 2);
        metrics.ObserveBufferedBytes(() => Volatile.Read(ref _taken));
    }

    /// <summary>Room for a request body, to be given back by <see cref="Return"/>.</summary>
    public bool TryTakeForRequest(long bytes) => TryTake(bytes, _forRequests);

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
