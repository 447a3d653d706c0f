using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// Answers that must have no content and speak of some, on every kind of route: the client gets the backend's answer, or one that says that it cannot
/// be relayed; never one of nobody's, for a request that was executed.
/// </summary>
public sealed class ContentlessAnswerTests(ContentlessAnswerTests.Site site) : IClassFixture<ContentlessAnswerTests.Site>
{
    private static readonly string[] Routes = ["plain", "buffered", "streamed", "observe", "lock"];

    private static readonly (string Answer, int Status)[] Answers =
    [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 11\r\nX-Kept: yes\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nX-Kept: yes\r\n\r\nok", 204),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX-Kept: yes\r\n\r\n2\r\nok\r\n0\r\n\r\n", 204),
        ("HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\nX-Kept: yes\r\n\r\nok", 205),
        ("HTTP/1.1 205 Reset Content\r\nX-Kept: yes\r\nContent-Length: 0\r\n\r\n", 205),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 11\r\nX-Kept: yes\r\n\r\n", 304),
    ];

    public static TheoryData<string, string, int> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, int>();
            foreach (var route in Routes)
            {
                foreach (var (answer, status) in Answers)
                {
                    cases.Add(route, answer, status);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task TheBackendsAnswer_IsRelayed_WithoutContent(string route, string answer, int status)
    {
        site.Answer = answer;

        await using var client = await RawClient.ConnectAsync(site.Gateway.Url);
        await client.SendAsync($"POST /{route}/{Guid.NewGuid()} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\nContent-Length: 2\r\n\r\n{{}}");
        var first = await client.ReadResponseAsync();

        // The connection goes on: nothing was left on it that could be taken for an answer.
        await client.SendAsync($"GET /{route}/2 HTTP/1.1\r\nHost: x\r\n\r\n");
        var next = await client.ReadResponseAsync();
        Assert.Equal((status, "", "yes"), (first!.Status, first.Text, first.Header("X-Kept")));
        Assert.Equal(status, next!.Status);
    }

    public sealed class Site : IAsyncLifetime
    {
        private RawBackend? _backend;
        private GatewayProcess? _gateway;

        public GatewayProcess Gateway => _gateway!;

        public string Answer { get; set; } = "";

        public async Task InitializeAsync()
        {
            _backend = RawBackend.Start(async connection =>
            {
                while (await connection.ReadRequestAsync() is not null)
                {
                    await connection.SendAsync(Answer);
                }
            });
            _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
                GatewayConfig.Embedded,
                new
                {
                    streamed = new { Response = new { Delivery = "Streamed" } },
                    observe = new { Mode = "Observe" },
                    @lock = new { Key = Array.Empty<string>(), Lock = new { On = "route:rest" } },
                },
                new GatewayRoute("/plain/{**rest}", _backend.Url, Policy: null),
                new GatewayRoute("/buffered/{**rest}", _backend.Url),
                new GatewayRoute("/streamed/{**rest}", _backend.Url, "streamed"),
                new GatewayRoute("/observe/{**rest}", _backend.Url, "observe"),
                new GatewayRoute("/lock/{**rest}", _backend.Url, "lock")));
        }

        public async Task DisposeAsync()
        {
            await (_gateway?.DisposeAsync() ?? default);
            await (_backend?.DisposeAsync() ?? default);
        }
    }
}
