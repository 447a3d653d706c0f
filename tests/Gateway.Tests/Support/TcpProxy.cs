using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;

namespace Gateway.Tests.Support;

/// <summary>
/// The network between two processes, under the test's control: it passes, delays, goes silent without closing (the fault
/// that timeouts exist for), cuts, or refuses. Bytes that meet the silence are delivered when it heals, as TCP would.
/// </summary>
public sealed class TcpProxy : IAsyncDisposable
{
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly ConcurrentDictionary<ProxiedConnection, bool> _open = new();
    private volatile string _target;
    private volatile SyncPoint _toServer = Passing();
    private volatile SyncPoint _toClient = Passing();
    private Socket? _listener;

    private TcpProxy(string target)
    {
        _target = target;
        Listen();
    }

    /// <summary><c>127.0.0.1:port</c>, to be given to the client in place of the target.</summary>
    public string Endpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}");

    /// <summary>Added to every chunk of bytes, each way.</summary>
    public TimeSpan Delay { get; set; }

    /// <summary>One entry for each chunk (or end of stream) that met the silence: wait here to know that the fault has bitten.</summary>
    public Ledger<TcpDirections> Held { get; } = new();

    /// <param name="target"><c>host:port</c>; need not be listening yet.</param>
    public static TcpProxy Start(string target) => new(target);

    /// <summary>Silence: connections stay open and new ones are accepted, but nothing arrives until <see cref="Heal"/>.</summary>
    public void BlackHole(TcpDirections directions = TcpDirections.Both)
    {
        _toServer = directions.HasFlag(TcpDirections.ToServer) ? Interrupted(_toServer) : _toServer;
        _toClient = directions.HasFlag(TcpDirections.ToClient) ? Interrupted(_toClient) : _toClient;
    }

    /// <summary>A firewall that lost its state: connections that are open now go silent without closing, those opened later pass.</summary>
    public void ForgetConnections()
    {
        foreach (var connection in _open.Keys)
        {
            connection.Forget();
        }
    }

    /// <summary>Closes every connection with RST; new ones pass.</summary>
    public void Cut()
    {
        foreach (var connection in _open.Keys)
        {
            connection.Reset();
        }
    }

    /// <summary>
    /// From now on the same address leads elsewhere, as when a virtual address or a name moves to a promoted replica: open connections
    /// are closed.
    /// </summary>
    /// <param name="target"><c>host:port</c>.</param>
    public void Retarget(string target)
    {
        _target = target;
        Cut();
    }

    /// <summary>New connections are refused until <see cref="Heal"/>; open ones live on unless <see cref="Cut"/>.</summary>
    public void Refuse()
    {
        _listener?.Dispose();
        _listener = null;
    }

    /// <summary>Delivers what was held back, and accepts again.</summary>
    public void Heal()
    {
        _toServer.Release();
        _toClient.Release();
        foreach (var connection in _open.Keys)
        {
            connection.Heal();
        }

        if (_listener is null)
        {
            Listen();
        }
    }

    public ValueTask DisposeAsync()
    {
        Refuse();
        Cut();
        _toServer.Release();
        _toClient.Release();
        return ValueTask.CompletedTask;
    }

    private static SyncPoint Passing()
    {
        var point = new SyncPoint();
        point.Release();
        return point;
    }

    private static SyncPoint Interrupted(SyncPoint current) => current.IsReleased ? new SyncPoint() : current;

    private void Listen()
    {
        _listener = LoopbackPorts.Listen(_port);
        _ = AcceptAsync(_listener);
    }

    private async Task AcceptAsync(Socket listener)
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await listener.AcceptAsync());
            }
        }
        catch (Exception stopped) when (stopped is SocketException or ObjectDisposedException)
        {
            // Refuse or DisposeAsync closed the listener.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var connection = new ProxiedConnection(client, PassAsync);
        _open[connection] = true;
        await _toServer.Released;
        var parts = _target.Split(':');
        await connection.RunAsync(parts[0], int.Parse(parts[1], CultureInfo.InvariantCulture));
        _open.Remove(connection, out _);
    }

    private async Task PassAsync(TcpDirections direction)
    {
        var point = direction == TcpDirections.ToServer ? _toServer : _toClient;
        if (!point.IsReleased)
        {
            Held.Add(direction);
            await point.Released;
        }

        if (Delay > TimeSpan.Zero)
        {
            await Task.Delay(Delay);
        }
    }
}
