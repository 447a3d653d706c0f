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
    private readonly string[] _target;

    private ReplyProxy(string target)
    {
        _target = target.Split(':');
        _listener = LoopbackPorts.Listen(_port);
        _ = AcceptAsync();
    }

    public string Endpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}");

    /// <summary>From a reply of the server to what the client gets now.</summary>
    public Func<string, IEnumerable<string>> Deliver { get; set; } = reply => [reply];

    /// <param name="target"><c>host:port</c>.</param>
    public static ReplyProxy Start(string target) => new(target);

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
        using var server = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true };
        using var client = new NetworkStream(accepted, ownsSocket: true);
        try
        {
            await server.ConnectAsync(_target[0], int.Parse(_target[1], CultureInfo.InvariantCulture));
            await await Task.WhenAny(client.CopyToAsync(server.GetStream()), PassRepliesAsync(server.GetStream(), client));
        }
        catch (Exception ended) when (ended is IOException or SocketException)
        {
            // One end went away: so does the other.
        }
    }

    private async Task PassRepliesAsync(NetworkStream server, NetworkStream client)
    {
        using var reader = new StreamReader(server, Encoding.Latin1, detectEncodingFromByteOrderMarks: false);
        while (true)
        {
            var reply = new StringBuilder();
            await RespConnection.ReadRawReplyAsync(reader, reply, CancellationToken.None);
            await client.WriteAsync(Encoding.Latin1.GetBytes(string.Concat(Deliver(reply.ToString()))));
        }
    }
}
