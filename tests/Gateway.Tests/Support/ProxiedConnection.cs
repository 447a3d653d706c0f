using System.Net.Sockets;

namespace Gateway.Tests.Support;

/// <summary>
/// One client's connection through a <see cref="TcpProxy"/>. The two directions end independently, so that one may still
/// deliver what it holds when the other is over. The proxy is asked to pass every chunk, and the end of each stream.
/// </summary>
internal sealed class ProxiedConnection(Socket client, Func<TcpDirections, Task> pass) : IDisposable
{
    private readonly Socket _server = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private volatile SyncPoint? _forgotten;

    /// <summary>Returns when both directions have ended, or when the connection broke.</summary>
    public async Task RunAsync(string host, int port)
    {
        try
        {
            client.NoDelay = _server.NoDelay = true;
            await _server.ConnectAsync(host, port);
            await Task.WhenAll(PumpAsync(client, _server, TcpDirections.ToServer), PumpAsync(_server, client, TcpDirections.ToClient));
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException)
        {
            // Reset by the test, or one of the two ends went away: so does the other.
        }
    }

    /// <summary>Nothing passes any more, and neither end is told, until <see cref="Heal"/>.</summary>
    public void Forget() => _forgotten = _forgotten is { IsReleased: false } already ? already : new SyncPoint();

    /// <summary>Delivers what was held back.</summary>
    public void Heal() => _forgotten?.Release();

    /// <summary>Both ends see RST.</summary>
    public void Reset()
    {
        Reset(client);
        Reset(_server);
        Heal();
    }

    public void Dispose()
    {
        client.Dispose();
        _server.Dispose();
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
            socket.Close();
        }
        catch (ObjectDisposedException)
        {
            // The connection ended by itself at the same moment.
        }
    }

    private async Task PumpAsync(Socket from, Socket to, TcpDirections direction)
    {
        var buffer = new byte[16 * 1024];
        int count;
        do
        {
            count = await ReceiveAsync(from, buffer);
            await pass(direction);
            if (_forgotten is { } forgotten)
            {
                await forgotten.Released;
            }

            for (var sent = 0; sent < count;)
            {
                sent += await to.SendAsync(buffer.AsMemory(sent, count - sent));
            }
        }
        while (count > 0);
        to.Shutdown(SocketShutdown.Send);
    }

    // A reset counts as an end: what was read before it is delivered all the same.
    private static async Task<int> ReceiveAsync(Socket from, byte[] buffer)
    {
        try
        {
            return await from.ReceiveAsync(buffer);
        }
        catch (SocketException)
        {
            return 0;
        }
    }
}
