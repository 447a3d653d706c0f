using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>A backend that talks without end before its answer begins is cut off, and what it did is not known.</summary>
public sealed class EndlessAnswerTests
{
    private static readonly TimeSpan ActivityTimeout = TimeSpan.FromSeconds(2);

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\n", "X-Endless: 0123456789012345678901234567890123456789\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nX-Endless: ", "0123456789012345678901234567890123456789")]
    [InlineData("", "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")]
    public async Task AHeaderSectionWithoutEnd_LeavesTheKeyUncertain(string start, string again)
    {
        await using var backend = RawBackend.Start(connection => TalkAsync(connection, start, string.Concat(Enumerable.Repeat(again, 100))));
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", backend.Url, ActivityTimeout: ActivityTimeout)));
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();

        var first = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key);
        var retry = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key);

        Assert.Single(backend.Requests);
        Expect.Problem(first.Status == 504 ? 504 : 502, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }

    private static async Task TalkAsync(RawConnection connection, string start, string again)
    {
        await connection.ReadRequestAsync();
        await connection.SendAsync(start);
        while (true)
        {
            await connection.SendAsync(again);
        }
    }
}
