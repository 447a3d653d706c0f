using System.Globalization;

namespace DemoBackend;

/// <summary>
/// Makes one request fail the way networks and servers do, asked for by the request itself:
/// <c>X-Demo-Delay</c> waits that many milliseconds before anything else, <c>X-Demo-Fail</c> is one of
/// <list type="table">
/// <item><term>before</term><description>not executed; the connection is closed without an answer</description></item>
/// <item><term>after</term><description>executed; the connection is closed without an answer</description></item>
/// <item><term>half</term><description>executed; the headers and half of the body are sent, then the connection is closed</description></item>
/// <item><term>500, 503</term><description>not executed; answered with that status</description></item>
/// </list>
/// It stands before the <see cref="ForeignSystems"/> too. <c>X-Demo-Fail-Core-Banking</c>, <c>X-Demo-Fail-Deposit</c> (the second of the two
/// calls to core banking) and <c>X-Demo-Fail-Registry</c> on a request to <see cref="Accounts"/> or <see cref="LegacyAccounts"/> become
/// <c>X-Demo-Fail</c> on the calls that this one request makes to that system; a retry or the completer does not know of them.
/// </summary>
internal sealed class Faults(RequestDelegate next, TimeProvider time)
{
    const int MaxDelayMilliseconds = 600_000;

    // Kestrel's flush returns before the bytes are on the wire, and an abort discards what is not. Long enough for loopback.
    static readonly TimeSpan TimeToSend = TimeSpan.FromMilliseconds(50);

    public async Task InvokeAsync(HttpContext context)
    {
        var delay = context.Request.Headers["X-Demo-Delay"].ToString();
        if (delay.Length > 0)
        {
            if (!int.TryParse(delay, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds) || milliseconds > MaxDelayMilliseconds)
            {
                await Answer(context, 400, $"X-Demo-Delay must be a whole number of milliseconds from 0 to {MaxDelayMilliseconds}.");
                return;
            }

            // The request is taken in first and the wait is not cut short, so that a client that hangs up changes nothing: a slow server
            // does not notice either.
            await ReceiveAsync(context.Request);
            await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), time);
        }

        switch (context.Request.Headers["X-Demo-Fail"].ToString())
        {
            case "":
                await next(context);
                break;
            case "before":
                context.Abort();
                break;
            case "after":
                await ExecuteAsync(context);
                context.Abort();
                break;
            case "half":
                await SendHalfAsync(context, await ExecuteAsync(context));
                context.Abort();
                break;
            case "500":
                await Answer(context, 500, "Asked for by X-Demo-Fail; nothing was executed.");
                break;
            case "503":
                await Answer(context, 503, "Asked for by X-Demo-Fail; nothing was executed.");
                break;
            default:
                await Answer(context, 400, "X-Demo-Fail must be one of before, after, half, 500, 503.");
                break;
        }
    }

    static async Task ReceiveAsync(HttpRequest request)
    {
        request.EnableBuffering();
        await request.Body.CopyToAsync(Stream.Null);
        request.Body.Position = 0;
    }

    /// <summary>Runs the request with its answer kept back, so that not one byte of it is on the wire yet.</summary>
    async Task<ReadOnlyMemory<byte>> ExecuteAsync(HttpContext context)
    {
        var wire = context.Response.Body;
        using var kept = new MemoryStream();
        context.Response.Body = kept;
        try
        {
            await next(context);
        }
        finally
        {
            context.Response.Body = wire;
        }
        return kept.ToArray();
    }

    async Task SendHalfAsync(HttpContext context, ReadOnlyMemory<byte> body)
    {
        // The full length is promised, so that the receiver can tell that the body was cut. An empty body is cut before its last chunk.
        if (!body.IsEmpty)
        {
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body[..(body.Length / 2)]);
        }
        await context.Response.Body.FlushAsync();
        await Task.Delay(TimeToSend, time);
    }

    static Task Answer(HttpContext context, int status, string detail) => Results.Problem(detail, statusCode: status).ExecuteAsync(context);
}
