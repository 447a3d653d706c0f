using System.Diagnostics;
using OpenTelemetry;

namespace Gateway.Telemetry;

/// <summary>
/// Drops the spans of statements that belong to no request: the sweeper, renewals and the watch ask the database every few seconds, and
/// each statement would be a trace of its own.
/// </summary>
internal sealed class StoreSpans : BaseProcessor<Activity>
{
    /// <summary>Npgsql's name for its spans and for its measurements.</summary>
    public const string Source = "Npgsql";

    public override void OnStart(Activity data)
    {
        if (data.Source.Name == Source && data.ParentSpanId == default)
        {
            data.IsAllDataRequested = false;
            data.ActivityTraceFlags &= ~ActivityTraceFlags.Recorded;
        }
    }
}
