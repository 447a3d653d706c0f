using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Faults;

/// <summary>
/// Uploads that are too large and uploads that drip, at some 50 MB/s, with keyed requests in between. Seconds by default;
/// <c>UPLOAD_FLOOD_SECONDS=60</c> for as long as you like.
/// </summary>
[Collection(LoadCollection.Name)]
public sealed class UploadFloodTests(ITestOutputHelper output)
{
    private const int Drips = 400;
    private const int Floods = 4;
    private const long BytesPerSecond = 50_000_000;
    private const long MaxMemory = 300_000_000;

    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(
        int.Parse(Environment.GetEnvironmentVariable("UPLOAD_FLOOD_SECONDS") ?? "6", CultureInfo.InvariantCulture));

    private readonly byte[] _garbage = new byte[256 * 1024];
    private long _sent;

    [Fact]
    public async Task MemoryStaysBounded_AndKeyedRequestsAreServed()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", backend.Url)));
        using var stop = new CancellationTokenSource(Duration);
        var clock = Stopwatch.StartNew();
        var keyed = Neighbours.ServeAsync([gateway.Url + "/orders"], new string('x', 10_000), stop.Token);
        var memory = Neighbours.PeakMemoryAsync(gateway.Pid, stop.Token);

        await Task.WhenAll(
            [
                .. Enumerable.Range(0, Floods).Select(_ => FloodAsync(gateway.Url, clock, stop.Token)),
                .. Enumerable.Range(0, Drips).Select(_ => DripAsync(gateway.Url, stop.Token)),
            ]);
        var (count, slowest) = await keyed;
        var peak = await memory;

        output.WriteLine($"{Duration.TotalSeconds} s: {_sent / 1e6 / Duration.TotalSeconds:F0} MB/s sent, {count} keyed requests, slowest {slowest.TotalMilliseconds:F0} ms, peak memory {peak / 1e6:F0} MB");
        Assert.Equal(count, backend.Ledger.Count); // of all these uploads, none
        Assert.InRange(peak, 1, MaxMemory);
        Assert.True(count >= Duration.TotalSeconds, $"only {count} keyed requests in {Duration}");
    }

    /// <summary>Bodies over the limit, announced or chunked, one after the other, paced to a share of the whole.</summary>
    private async Task FloodAsync(string url, Stopwatch clock, CancellationToken stop)
    {
        for (var number = 0; !stop.IsCancellationRequested; number++)
        {
            await using var client = await RawClient.ConnectAsync(url);
            var isChunked = number % 2 == 0;
            var framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 100000000";
            try
            {
                await client.SendAsync(Head(framing));
                for (var sent = 0; sent < 8_000_000 && !stop.IsCancellationRequested; sent += _garbage.Length)
                {
                    if (isChunked)
                    {
                        await client.SendAsync($"{_garbage.Length:x}\r\n");
                    }

                    await client.SendAsync(_garbage);
                    if (isChunked)
                    {
                        await client.SendAsync("\r\n");
                    }

                    var ahead = (double)Interlocked.Add(ref _sent, _garbage.Length) / BytesPerSecond - clock.Elapsed.TotalSeconds;
                    if (ahead > 0)
                    {
                        await Task.Delay(TimeSpan.FromSeconds(ahead), CancellationToken.None);
                    }
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // The gateway had enough of it.
            }
        }
    }

    /// <summary>Just above the server's least rate, so that nothing but the gateway's own bounds end it.</summary>
    private async Task DripAsync(string url, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await using var client = await RawClient.ConnectAsync(url);
            try
            {
                await client.SendAsync(Head("Content-Length: 1000000"));
                while (!stop.IsCancellationRequested)
                {
                    await client.SendAsync(_garbage.AsMemory(0, 1000));
                    await Task.Delay(500, CancellationToken.None);
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // Its time was up.
            }
        }
    }

    private static string Head(string framing) => $"POST /orders HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\n{framing}\r\n\r\n";
}
