using System.Net.Sockets;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>
/// The backend's end of one connection, for answers that no web server would send: cut, ended by close, garbage, or none.
/// The connection closes when the script returns.
/// </summary>
public sealed class RawConnection
{
    private readonly Socket _socket;
    private readonly Http1Reader _reader;
    private readonly Ledger<Http1Message> _requests;

    internal RawConnection(Socket socket, int number, Ledger<Http1Message> requests)
    {
        _socket = socket;
        _reader = new Http1Reader(socket);
        _requests = requests;
        Number = number;
    }

    /// <summary>1 for the first connection that the backend accepted.</summary>
    public int Number { get; }

    /// <summary>The next request with its whole body, or null when the peer closed instead of sending one.</summary>
    public async Task<Http1Message?> ReadRequestAsync()
    {
        var request = await _reader.ReadRequestAsync(CancellationToken.None);
        if (request is { IsComplete: true })
        {
            _requests.Add(request);
        }

        return request;
    }

    /// <summary>Bytes of a protocol that is not HTTP/1.1; not to be mixed with <see cref="ReadRequestAsync"/>.</summary>
    /// <exception cref="EndOfStreamException">The connection ended before.</exception>
    public async Task<byte[]> ReadBytesAsync(int count)
    {
        var bytes = new byte[count];
        for (var read = 0; read < count;)
        {
            var taken = await _socket.ReceiveAsync(bytes.AsMemory(read));
            read += taken > 0 ? taken : throw new EndOfStreamException("The connection ended.");
        }

        return bytes;
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

    /// <summary>An answer that is whole and well-formed, with Content-Length.</summary>
    public Task SendResponseAsync(int status, string body, params string[] headerLines)
    {
        string[] head = [$"HTTP/1.1 {status} Scripted", .. headerLines, $"Content-Length: {body.Length}"];
        return SendAsync(string.Join("\r\n", head) + "\r\n\r\n" + body);
    }

    /// <summary>FIN: everything sent so far arrives, then the end of the stream.</summary>
    public void Close() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>RST: the peer's next read fails; what it has not read yet may be lost.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Close();
    }

    /// <summary>Never answers: returns when the peer (or the end of the test) closes the connection.</summary>
    public async Task WaitForCloseAsync()
    {
        var ignored = new byte[4096];
        try
        {
            while (await _socket.ReceiveAsync(ignored) > 0)
            {
            }
        }
        catch (Exception closed) when (closed is SocketException or ObjectDisposedException)
        {
            // A reset is a close too.
        }
    }
}
