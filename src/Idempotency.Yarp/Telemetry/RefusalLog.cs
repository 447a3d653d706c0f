using System.Collections.Concurrent;
using System.Diagnostics;
using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>
/// One line for each request that is refused, so that whoever holds a client's problem finds why. A client that is refused again and again must
/// not fill the log: each route has so many lines a second, and what is left out is counted and said. At Debug, nothing is left out.
/// </summary>
internal sealed class RefusalLog(TimeProvider time, ILogger logger)
{
    private const int LinesPerSecond = 20;
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    /// <summary>As many as there are routes.</summary>
    private readonly ConcurrentDictionary<string, Count> _counts = new();

    /// <param name="context">The request.</param>
    /// <param name="problem">What it is answered with.</param>
    /// <param name="record">Its record; null when it has none.</param>
    /// <param name="reason">More than the problem's own words; null for those.</param>
    public void Write(HttpContext context, Problem problem, RecordId? record, string? reason)
    {
        if (!logger.IsEnabled(LogLevel.Information))
        {
            return;
        }

        var route = RouteName.Of(context);
        if (!logger.IsEnabled(LogLevel.Debug) && !MayWrite(route))
        {
            return;
        }

        var trace = Activity.Current?.TraceId.ToHexString() ?? "-";
        Log.Refused(logger, record?.Short ?? "-", route, context.Request.Method, problem.Slug, reason ?? problem.Title, trace);
    }

    private bool MayWrite(string route)
    {
        var count = _counts.GetOrAdd(route, _ => new Count());
        lock (count)
        {
            if (time.GetElapsedTime(count.Since) >= Second)
            {
                (count.Since, count.Lines) = (time.GetTimestamp(), 0);
            }

            if (count.Lines < LinesPerSecond)
            {
                count.Lines++;
                return true;
            }

            if (++count.LeftOut == 1)
            {
                _ = TellLaterAsync(route, count);
            }

            return false;
        }
    }

    private async Task TellLaterAsync(string route, Count count)
    {
        await Task.Delay(Second, time);
        int leftOut;
        lock (count)
        {
            (leftOut, count.LeftOut) = (count.LeftOut, 0);
        }

        Log.RefusalsLeftOut(logger, route, leftOut);
    }

    private sealed class Count
    {
        public long Since { get; set; }

        public int Lines { get; set; }

        public int LeftOut { get; set; }
    }
}
