using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A gateway before two backends, one for HTTP/1.1 and one for HTTP/2, that take requests and end them without an answer, as the
/// target's last segment says. Each case has a route, and with it an HTTP client and connections, of its own.
/// </summary>
public sealed class SilentBackends : IAsyncLifetime
{
    /// <summary>The last segment of a target that is answered.</summary>
    public const string Answered = "answered";

    private readonly Ledger<(string Key, bool IsReused)> _http1Arrivals = new();
    private readonly Ledger<RawHttp2Request> _http2Arrivals = new();
    private RawBackend? _http1;
    private RawBackend? _http2;
    private GatewayProcess? _gateway;

    public string Url => _gateway!.Url;

    public async Task InitializeAsync()
    {
        _http1 = RawBackend.Start(ServeHttp1Async);
        _http2 = RawBackend.Start(ServeHttp2Async);
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded,
            new { changing = new { Methods = (string[])["POST", "PUT", "PATCH", "DELETE"] } },
            [.. SilentCase.All.Values.Select(one => new GatewayRoute(
                one.Route + "/{**rest}", one.Version == "2" ? _http2.Url : _http1.Url, "changing", HttpVersion: one.Version))]));
    }

    public async Task DisposeAsync()
    {
        await (_gateway?.DisposeAsync() ?? default);
        await (_http1?.DisposeAsync() ?? default);
        await (_http2?.DisposeAsync() ?? default);
    }

    /// <summary>Requests with one of these keys, begun ones included: for each, whether its connection had carried another before.</summary>
    public IReadOnlyList<bool> ArrivalsOf(HashSet<string> keys) =>
    [
        .. _http1Arrivals.Where(arrival => keys.Contains(arrival.Key)).Select(arrival => arrival.IsReused),
        .. _http2Arrivals.Where(arrival => keys.Any(key => arrival.HeaderBlock.Contains(key, StringComparison.Ordinal))).Select(arrival => arrival.Stream > 1),
    ];

    private async Task ServeHttp1Async(RawConnection connection)
    {
        for (var isReused = false; await connection.ReadRequestAsync() is { } request; isReused = true)
        {
            _http1Arrivals.Add((request.Header("Idempotency-Key")!, isReused));
            switch (request.Target.Split('/')[^1])
            {
                case Answered:
                    await connection.SendResponseAsync(200, "ok");
                    break;
                case "FIN":
                    return;
                case "RST":
                    connection.Reset();
                    return;
            }
        }
    }

    private async Task ServeHttp2Async(RawConnection connection)
    {
        var http2 = await RawHttp2Connection.AcceptAsync(connection, _http2Arrivals);
        while (true)
        {
            var request = await http2.ReadRequestAsync();
            switch (request)
            {
                case var _ when IsFor(request, Answered):
                    await http2.SendOkAsync(request);
                    break;
                case var _ when IsFor(request, "FIN"):
                    return;
                case var _ when IsFor(request, "RST"):
                    connection.Reset();
                    return;
                case var _ when IsFor(request, "REFUSED_STREAM"):
                    await http2.ResetStreamAsync(request, RawHttp2Connection.RefusedStream);
                    break;
                case var _ when IsFor(request, "HTTP_1_1_REQUIRED"):
                    await http2.ResetStreamAsync(request, RawHttp2Connection.Http11Required);
                    break;
                case var _ when IsFor(request, "GOAWAY"):
                    await http2.GoAwayAsync(lastStream: Math.Max(0, request.Stream - 2));
                    break;
            }
        }
    }

    private static bool IsFor(RawHttp2Request request, string segment) => request.HeaderBlock.Contains($"/{segment}", StringComparison.Ordinal);
}
