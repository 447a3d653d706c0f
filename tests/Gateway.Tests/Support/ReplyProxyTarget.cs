using System.Globalization;
using System.Net.Sockets;

namespace Gateway.Tests.Support;

/// <summary>The far end of one connection of a <see cref="ReplyProxy"/>.</summary>
internal sealed class ReplyProxyTarget : IDisposable
{
    private TcpClient? _server;
    private volatile NetworkStream? _stream;

    public NetworkStream Stream => _stream!;

    /// <param name="target"><c>host:port</c>.</param>
    public void Connect(string target)
    {
        var parts = target.Split(':');
        var old = _server;
        _server = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true };
        _server.Connect(parts[0], int.Parse(parts[1], CultureInfo.InvariantCulture));
        _stream = _server.GetStream();
        old?.Dispose();
    }

    public void Dispose() => _server?.Dispose();
}
