namespace Idempotency.Yarp;

/// <summary>
/// Spares requests the wait for a server that does not answer: after some failures in a row nothing is asked of it for a moment, and then
/// one request tries for all.
/// </summary>
internal sealed class Breaker(TimeProvider time)
{
    /// <summary>One slow call, of one large body, says nothing of the next.</summary>
    public const int FailuresToOpen = 3;

    /// <summary>Shorter than what clients are told to wait, so that a retry finds the server again.</summary>
    public static readonly TimeSpan Break = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private int _failures;
    private long _failedAt;
    private bool _isTried;

    /// <summary>Whether the server may be asked; if so, <see cref="Succeeded"/> or <see cref="Failed"/> must follow.</summary>
    public bool TryEnter()
    {
        lock (_lock)
        {
            if (_failures < FailuresToOpen)
            {
                return true;
            }

            if (_isTried || time.GetElapsedTime(_failedAt) < Break)
            {
                return false;
            }

            _isTried = true;
            return true;
        }
    }

    /// <returns>True when the server was believed to be away.</returns>
    public bool Succeeded()
    {
        lock (_lock)
        {
            var wasOpen = _failures >= FailuresToOpen;
            (_failures, _isTried) = (0, false);
            return wasOpen;
        }
    }

    /// <returns>True when this failure is the one after which the server is believed to be away.</returns>
    public bool Failed()
    {
        lock (_lock)
        {
            (_failedAt, _isTried) = (time.GetTimestamp(), false);
            _failures = Math.Min(_failures + 1, FailuresToOpen + 1);
            return _failures == FailuresToOpen;
        }
    }
}
