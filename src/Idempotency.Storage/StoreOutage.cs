namespace Idempotency.Storage;

/// <summary>Says once that a store is failing, again when the server tells why (the first sign is often only a closed connection), and that it works.</summary>
/// <param name="logger">Where it is said.</param>
/// <param name="store">Which store, for people.</param>
internal sealed class StoreOutage(ILogger logger, string store)
{
    private readonly Lock _lock = new();
    private volatile bool _isDown;
    private string? _refusal;

    /// <param name="reason">What is wrong.</param>
    /// <param name="refusal">The reason that the server gave; null when it gave none.</param>
    public void Down(string reason, string? refusal = null)
    {
        if (_isDown && refusal is null)
        {
            return; // said already; who fails must not wait for a log that is slow
        }

        lock (_lock)
        {
            if (!_isDown || (refusal is not null && refusal != _refusal))
            {
                _isDown = true;
                _refusal = refusal;
                StoreLog.Failing(logger, store, reason);
            }
        }
    }

    /// <summary>Called after every call that went well, so without a lock where there was no outage.</summary>
    public void Up()
    {
        if (!_isDown)
        {
            return;
        }

        lock (_lock)
        {
            if (_isDown)
            {
                _isDown = false;
                _refusal = null;
                StoreLog.Recovered(logger, store);
            }
        }
    }
}
