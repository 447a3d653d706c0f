namespace Idempotency.Yarp.Configuration;

/// <summary>Log events of settings: ids 3003 to 3003.</summary>
internal static partial class SettingsLog
{
    public static void Doubtful(ILogger logger, IEnumerable<string> warnings)
    {
        foreach (var warning in warnings)
        {
            Doubtful(logger, warning);
        }
    }

    [LoggerMessage(3003, LogLevel.Warning, "Configuration: {Warning}")]
    private static partial void Doubtful(ILogger logger, string warning);
}
