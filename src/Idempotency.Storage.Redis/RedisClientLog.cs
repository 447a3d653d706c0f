namespace Idempotency.Storage.Redis;

/// <summary>
/// The client's own log, at Debug in the store's category. It is for finding out what the client does; what an operator must know, the
/// gateway says itself.
/// </summary>
internal sealed class RedisClientLog(ILogger logger) : ILoggerFactory, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information && logger.IsEnabled(LogLevel.Debug);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            // Errors of servers may quote what they were sent.
            StoreLog.Client(logger, exception is null ? SafeText.OfMessage(formatter(state, null)) : $"{eventId.Name}: {exception.GetType().Name}");
        }
    }
}
