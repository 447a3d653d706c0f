using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Gateway.Tests.Support;
using Idempotency.Yarp.Forwarding;
using Xunit;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Forwarding;

public sealed class BackendClientFactoryTests
{
    /// <summary>About one in 400 meets the moment between the connect and the client's first look at the connection.</summary>
    private const int Connections = 8000;

    [Fact]
    public async Task ABackendThatResetsAtOnce_IsAlwaysAnHttpFailure()
    {
        var port = LoopbackPorts.Reserve();
        using var listener = LoopbackPorts.Listen(port);
        var resetting = Task.WhenAll(Task.Run(() => ResetAll(listener)), Task.Run(() => ResetAll(listener)));
        using var client = new BackendClientFactory(new ForwarderHttpClientFactory(), Encoding.Latin1, passesTraces: true).CreateClient(new ForwarderHttpClientContext { NewConfig = HttpClientConfig.Empty });
        var url = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/");

        await Parallel.ForEachAsync(Enumerable.Range(0, Connections), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (_, stop) =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent("{}") };
            await Assert.ThrowsAsync<HttpRequestException>(() => client.SendAsync(request, stop));
        });

        listener.Dispose();
        await resetting;
    }

    private static void ResetAll(Socket listener)
    {
        try
        {
            while (true)
            {
                using var connection = listener.Accept();
                connection.LingerState = new LingerOption(true, 0);
            }
        }
        catch (Exception over) when (over is SocketException or ObjectDisposedException)
        {
            // The listener is closed.
        }
    }
}
