using System.Globalization;
using System.Text;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Faults;

/// <summary>
/// JSON that unfolds to many times its size, uploads that announce much and send little, and readers who do not read: memory stays bounded, and
/// other callers are served. Megabytes of hostile uploads by default; <c>HOSTILE_MEGABYTES=500</c> for as many as you like.
/// </summary>
[Collection(LoadCollection.Name)]
public sealed class HostileBodyTests(ITestOutputHelper output)
{
    private const int MegaByte = 1024 * 1024;
    private const int Senders = 8;
    private const int Drips = 200;
    private const int Readers = 300;
    private const long MaxMemory = 300_000_000;

    private static readonly int Megabytes = int.Parse(Environment.GetEnvironmentVariable("HOSTILE_MEGABYTES") ?? "60", CultureInfo.InvariantCulture);

    private static readonly byte[][] Shapes =
    [
        Json("[", "1,", "1]"),
        Json("[", "[],", "[]]"),
        Json("[", "{},", "{}]"),
        Json("[\"", "\\u0061", "\"]"),
        Encoding.ASCII.GetBytes($"{{{string.Join(',', Enumerable.Range(0, 100_000).Select(i => $"\"{i:x}\":{i % 9}"))}}}"),
        Encoding.ASCII.GetBytes($"{string.Concat(Enumerable.Repeat("[", 60))}{string.Join(',', Enumerable.Repeat("{\"a\":[1]}", 100_000))}{string.Concat(Enumerable.Repeat("]", 60))}"),
    ];

    private long _sent;
    private int _refused;

    [Fact]
    public async Task MemoryStaysBounded_AndOthersAreServed()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        var large = System.Security.Cryptography.RandomNumberGenerator.GetBytes(MegaByte - 1000);
        backend.Handler = context => context.Request.Path == "/large" ? context.Response.Body.WriteAsync(large).AsTask() : backend.AnswerCreatedAsync(context);
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { json = new { Fingerprint = new { Body = "Json" } } }, new GatewayRoute("/json", backend.Url, "json"), new GatewayRoute("/{**rest}", backend.Url)));
        using var http = KeyedRequests.NewClient();
        var readKey = EmbeddedGateway.NewKey();
        Assert.Equal(200, (await KeyedRequests.PostAsync(http, gateway.Url + "/large", readKey)).Status);
        using var stop = new CancellationTokenSource();
        var memory = Neighbours.PeakMemoryAsync(gateway.Pid, stop.Token);
        var readers = await Task.WhenAll(Enumerable.Range(0, Readers).Select(_ => OpenReaderAsync(gateway.Url, readKey)));
        var drips = await Task.WhenAll(Enumerable.Range(0, Drips).Select(_ => OpenDripAsync(gateway.Url)));
        var served = Neighbours.ServeAsync([gateway.Url + "/orders", gateway.Url + "/json"], """{"amount":100}""", stop.Token);

        await Task.WhenAll(Enumerable.Range(0, Senders).Select(number => SendAsync(gateway.Url, number)));
        await stop.CancelAsync();
        var peak = await memory;
        var (count, slowest) = await served;
        await Task.WhenAll(readers.Concat(drips).Select(client => client.DisposeAsync().AsTask()));

        output.WriteLine($"{_sent / MegaByte} MB of hostile JSON, {_refused} refused for want of room; {count} keyed requests of others, slowest {slowest.TotalMilliseconds:F0} ms; peak memory {peak / 1e6:F0} MB");
        Assert.InRange(peak, 1, MaxMemory);
        Assert.InRange(slowest, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Assert.True(count >= 5, $"only {count} requests of others");
    }

    private static byte[] Json(string first, string piece, string last)
    {
        var text = new StringBuilder(first);
        while (text.Length < MegaByte - 100)
        {
            text.Append(piece);
        }

        return Encoding.ASCII.GetBytes(text.Append(last).ToString());
    }

    private async Task SendAsync(string url, int number)
    {
        using var client = KeyedRequests.NewClient();
        for (var i = number; Interlocked.Read(ref _sent) < (long)Megabytes * MegaByte; i++)
        {
            var shape = Shapes[i % Shapes.Length];
            var answer = await KeyedRequests.SendAsync(client, HttpMethod.Post, url + "/json", EmbeddedGateway.NewKey(), shape, [KeyValuePair.Create("Authorization", "Bearer hostile")]);
            Assert.Contains(answer.Status, (int[])[201, 503]);
            Interlocked.Add(ref _sent, shape.Length);
            Interlocked.Add(ref _refused, answer.Status == 503 ? 1 : 0);
        }
    }

    /// <summary>Asks for a large replay and reads none of it.</summary>
    private static async Task<RawClient> OpenReaderAsync(string url, string key)
    {
        var client = await RawClient.ConnectAsync(url);
        await client.SendAsync($"POST /large HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
        return client;
    }

    /// <summary>Announces much and sends one byte of it.</summary>
    private static async Task<RawClient> OpenDripAsync(string url)
    {
        var client = await RawClient.ConnectAsync(url);
        await client.SendAsync($"POST /json HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\nContent-Length: 1000000\r\n\r\n[");
        return client;
    }
}
