namespace Gateway.Telemetry;

/// <summary>Log events of telemetry, ids 4000 to 4999.</summary>
internal static partial class TelemetryLog
{
    [LoggerMessage(4000, LogLevel.Warning, "OpenTelemetry: {Warning}.")]
    public static partial void Doubtful(ILogger logger, string warning);
}
