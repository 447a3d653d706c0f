using System.Net.Sockets;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>
/// A client below HTTP, for requests that HttpClient refuses to send (bare line feeds, two keys, odd targets), and for
/// answers byte by byte. It can also vanish at a moment of the test's choosing.
/// </summary>
public sealed class RawClient : IAsyncDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly Http1Reader _reader;

    private RawClient()
    {
        _reader = new Http1Reader(_socket);
    }

    /// <param name="url">Only its host and port are used.</param>
    public static async Task<RawClient> ConnectAsync(string url)
    {
        var client = new RawClient();
        var address = new Uri(url);
        await client._socket.ConnectAsync(address.Host, address.Port);
        return client;
    }

    /// <summary>One connection, one request, its answer.</summary>
    /// <param name="url">Only its host and port are used.</param>
    /// <param name="request">Sent as Latin-1, exactly as given.</param>
    public static async Task<Http1Message?> ExchangeAsync(string url, string request)
    {
        await using var client = await ConnectAsync(url);
        await client.SendAsync(request);
        return await client.ReadResponseAsync(hasBody: !request.StartsWith("HEAD ", StringComparison.Ordinal));
    }

    /// <param name="text">Sent as Latin-1, exactly as given.</param>
    public Task SendAsync(string text) => SendAsync(Encoding.Latin1.GetBytes(text));

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await _socket.SendAsync(bytes)..];
        }
    }

    /// <summary>The next final answer, interim ones (1xx) left out; null when the connection ended without one.</summary>
    /// <param name="hasBody">False when the request was HEAD.</param>
    public async Task<Http1Message?> ReadResponseAsync(bool hasBody = true)
    {
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        while (true)
        {
            var response = await _reader.ReadResponseAsync(hasBody, deadline.Token);
            if (response is null or { Status: 101 or >= 200 })
            {
                return response;
            }
        }
    }

    /// <summary>Reads so many bytes at most, and forgets them.</summary>
    /// <returns>How many; 0 at the end.</returns>
    public async Task<int> SkipAsync(int bytes) => await _socket.ReceiveAsync(new byte[bytes]);

    /// <summary>Reads so many bytes, or fewer at the end, and forgets them.</summary>
    public async Task<int> SkipWholeAsync(int bytes)
    {
        var skipped = 0;
        while (skipped < bytes && await SkipAsync(bytes - skipped) is > 0 and var more)
        {
            skipped += more;
        }

        return skipped;
    }

    /// <summary>FIN: no more will be sent, the answer is still awaited.</summary>
    public void CloseSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>RST: the client is gone at once, as when its process is killed or its network drops it.</summary>
    public void Abort()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Close();
    }

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }
}
