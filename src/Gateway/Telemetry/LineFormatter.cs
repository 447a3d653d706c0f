using System.Data.Common;
using System.Globalization;
using System.Security.Authentication;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace Gateway.Telemetry;

/// <summary>
/// The console's default format: one line for an event, with date, time and zone. Of exceptions by which the network says that somebody is not
/// there, only the messages: where in the libraries they were noticed helps nobody. All others with their stack.
/// </summary>
internal sealed class LineFormatter(IOptionsMonitor<ConsoleFormatterOptions> options, TimeProvider time) : ConsoleFormatter(FormatName)
{
    /// <summary>In <c>Logging:Console:FormatterName</c>.</summary>
    public const string FormatName = "line";

    /// <summary>ISO 8601, local time with its distance from UTC.</summary>
    public const string Timestamp = "yyyy-MM-dd'T'HH:mm:ss.fffzzz ";

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        var message = logEntry.Formatter(logEntry.State, logEntry.Exception);
        if (options.CurrentValue is { TimestampFormat: { Length: > 0 } format } current)
        {
            var now = current.UseUtcTimestamp ? time.GetUtcNow() : time.GetLocalNow();
            textWriter.Write(now.ToString(format, CultureInfo.InvariantCulture));
        }

        textWriter.Write(LevelOf(logEntry.LogLevel));
        textWriter.Write(string.Create(CultureInfo.InvariantCulture, $": {logEntry.Category}[{logEntry.EventId.Id}] "));
        WriteLine(textWriter, logEntry.Exception is { } exception ? $"{message} {Describe(exception)}" : message);
    }

    /// <summary>The messages of an exception and those in it, and the stack where it may be a mistake of ours.</summary>
    private static string Describe(Exception exception)
    {
        var isExpected = false;
        List<string> messages = [];
        for (var e = exception; e is not null; e = e.InnerException)
        {
            messages.Add($"{e.GetType().FullName}: {e.Message}");
            isExpected |= e is IOException or HttpRequestException or System.Net.Sockets.SocketException or OperationCanceledException or TimeoutException or DbException or AuthenticationException;
        }

        return isExpected ? string.Join(" ---> ", messages) : exception.ToString();
    }

    /// <summary>Whatever stands in it, it is one line.</summary>
    private static void WriteLine(TextWriter writer, string text) => writer.WriteLine(text.ReplaceLineEndings(" "));

    private static string LevelOf(LogLevel level) => level switch
    {
        LogLevel.Trace => "trce",
        LogLevel.Debug => "dbug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };
}
