using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;

namespace Gateway.Tests.Support;

/// <summary>A backend below HTTP: every accepted connection is driven by a script that decides about bytes, FIN and RST.</summary>
public sealed class RawBackend : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly ConcurrentBag<Socket> _sockets = [];
    private readonly ConcurrentBag<Task> _scripts = [];
    private readonly Func<RawConnection, Task> _script;
    private readonly Task _accepting;

    private RawBackend(Func<RawConnection, Task> script)
    {
        _script = script;
        var port = LoopbackPorts.Reserve();
        _listener = LoopbackPorts.Listen(port);
        Url = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
        _accepting = AcceptAsync();
    }

    /// <summary>Without a trailing slash.</summary>
    public string Url { get; }

    /// <summary>Every request that a script read to the end of its body, over all connections.</summary>
    public Ledger<Http1Message> Requests { get; } = new();

    public int ConnectionsAccepted => _sockets.Count;

    /// <param name="script">Runs once per connection; the connection closes when it returns.</param>
    public static RawBackend Start(Func<RawConnection, Task> script) => new(script);

    /// <summary>Closes every connection and waits for the scripts.</summary>
    /// <exception cref="Exception">The first thing a script threw, other than that its peer went away.</exception>
    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _accepting;
        foreach (var socket in _sockets)
        {
            socket.Dispose();
        }

        await Task.WhenAll(_scripts).WaitAsync(Bounds.Wait);
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                var socket = await _listener.AcceptAsync();
                socket.NoDelay = true;
                _sockets.Add(socket);
                _scripts.Add(RunAsync(socket, new RawConnection(socket, _sockets.Count, Requests)));
            }
            catch (Exception stopped) when (stopped is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task RunAsync(Socket socket, RawConnection connection)
    {
        try
        {
            await _script(connection);
        }
        catch (Exception peerGone) when (peerGone is SocketException or IOException or ObjectDisposedException)
        {
            // The gateway hung up in the middle of the script, or the test is over.
        }
        finally
        {
            socket.Dispose();
        }
    }
}
