namespace DemoBackend;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Warning, "{Job} failed and is tried again: {Reason}")]
    public static partial void JobFailed(ILogger logger, string job, string reason);
}
