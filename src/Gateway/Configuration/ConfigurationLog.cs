namespace Gateway.Configuration;

/// <summary>Log events of the configuration: ids 3000 to 3099.</summary>
internal static partial class ConfigurationLog
{
    [LoggerMessage(3000, LogLevel.Information, "Reloaded {File}: {Routes} routes, {Policies} policies.")]
    public static partial void Reloaded(ILogger logger, string file, int routes, int policies);

    [LoggerMessage(3001, LogLevel.Error, "The changed {File} is not valid, the old configuration stays in force: {Errors}")]
    public static partial void Rejected(ILogger logger, string file, string errors);

    [LoggerMessage(3002, LogLevel.Warning, "Everything but routes, clusters and policies is read at start only; their change takes effect after a restart.")]
    public static partial void NeedsRestart(ILogger logger);
}
