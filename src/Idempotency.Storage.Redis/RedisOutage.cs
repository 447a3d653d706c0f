namespace Idempotency.Storage.Redis;

/// <summary>Says once that the store is failing, again when the server tells why (the first sign is often only a closed connection), and that it works.</summary>
internal sealed class RedisOutage(ILogger logger, string description)
{
    private readonly Lock _lock = new();
    private bool _isDown;
    private string? _refusal;

    /// <param name="reason">What is wrong.</param>
    /// <param name="refusal">The reason that the server gave; null when it gave none.</param>
    public void Down(string reason, string? refusal)
    {
        lock (_lock)
        {
            if (!_isDown || (refusal is not null && refusal != _refusal))
            {
                _isDown = true;
                _refusal = refusal;
                StoreLog.Failing(logger, description, reason);
            }
        }
    }

    public void Up()
    {
        lock (_lock)
        {
            if (_isDown)
            {
                _isDown = false;
                _refusal = null;
                StoreLog.Recovered(logger, description);
            }
        }
    }
}
