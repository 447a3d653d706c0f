namespace Idempotency.Yarp.Configuration;

/// <summary>Log events of settings: ids 3003 to 3003.</summary>
internal static partial class SettingsLog
{
    [LoggerMessage(3003, LogLevel.Warning, "Configuration: {Warning}")]
    public static partial void Doubtful(ILogger logger, string warning);
}
