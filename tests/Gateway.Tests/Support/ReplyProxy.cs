using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>
/// A link to Redis that knows where a reply ends, so that a test can give replies to the wrong requests: each whole reply is passed on
/// as the test says, in another order, twice, or not at all. Text is Latin-1, as in <see cref="RespConnection"/>.
/// </summary>
internal sealed class ReplyProxy : IAsyncDisposable
{
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly Socket _listener;
    private readonly ConcurrentBag<ReplyProxyTarget> _open = [];
    private string _target;

    private ReplyProxy(string target)
    {
        _target = target;
        _listener = LoopbackPorts.Listen(_port);
        _ = AcceptAsync();
    }

    public string Endpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}");

    /// <summary>From a reply of the server to what the client gets now.</summary>
    public Func<string, IEnumerable<string>> Deliver { get; set; } = reply => [reply];

    /// <param name="target"><c>host:port</c>.</param>
    public static ReplyProxy Start(string target) => new(target);

    /// <summary>
    /// The same connections lead to another server from now on, and their client sees nothing of it. To be called between
    /// replies. The gateway speaks RESP2, of which a server needs no word beforehand.
    /// </summary>
    /// <param name="target"><c>host:port</c>.</param>
    public void SwitchTo(string target)
    {
        _target = target;
        foreach (var server in _open)
        {
            server.Connect(target);
        }
    }

    public ValueTask DisposeAsync()
    {
        _listener.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await _listener.AcceptAsync());
            }
        }
        catch (Exception stopped) when (stopped is SocketException or ObjectDisposedException)
        {
            // DisposeAsync closed the listener; connections end with their clients.
        }
    }

    private async Task ServeAsync(Socket accepted)
    {
        using var client = new NetworkStream(accepted, ownsSocket: true);
        using var server = new ReplyProxyTarget();
        try
        {
            server.Connect(_target);
            _open.Add(server);
            await await Task.WhenAny(PassRequestsAsync(client, server), PassRepliesAsync(server, client));
        }
        catch (Exception ended) when (ended is IOException or SocketException or ObjectDisposedException)
        {
            // One end went away: so does the other.
        }
    }

    private static async Task PassRequestsAsync(NetworkStream client, ReplyProxyTarget server)
    {
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = await client.ReadAsync(buffer)) > 0)
        {
            await server.Stream.WriteAsync(buffer.AsMemory(0, read));
        }
    }

    private async Task PassRepliesAsync(ReplyProxyTarget server, NetworkStream client)
    {
        while (true)
        {
            var stream = server.Stream;
            using var reader = new StreamReader(stream, Encoding.Latin1, detectEncodingFromByteOrderMarks: false, bufferSize: -1, leaveOpen: true);
            try
            {
                while (true)
                {
                    var reply = new StringBuilder();
                    await RespConnection.ReadRawReplyAsync(reader, reply, CancellationToken.None);
                    await client.WriteAsync(Encoding.Latin1.GetBytes(string.Concat(Deliver(reply.ToString()))));
                }
            }
            catch (Exception ended) when (ended is IOException or ObjectDisposedException && server.Stream != stream)
            {
                // Another server is behind it now.
            }
        }
    }
}
