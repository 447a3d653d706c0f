using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Gateway.Tests.Support;

/// <summary>
/// Hands out loopback ports that stay refused while their owner is down. Ports of the ephemeral range (port 0) do not:
/// the kernel may give such a port to an outgoing connection, or even connect a client that keeps retrying it to itself.
/// </summary>
internal static class LoopbackPorts
{
    // Below Linux's default ephemeral range (32768-60999).
    private const int First = 20_000;
    private const int AfterLast = 32_000;

    private static readonly ConcurrentDictionary<int, bool> HandedOut = new();

    /// <summary>A port that nobody listens on and that this process never hands out again.</summary>
    public static int Reserve()
    {
        while (true)
        {
            var port = RandomNumberGenerator.GetInt32(First, AfterLast);
            if (HandedOut.TryAdd(port, true) && IsFree(port))
            {
                return port;
            }
        }
    }

    /// <summary>
    /// Accepts connections until it is disposed; accepting then throws <see cref="ObjectDisposedException"/> or
    /// <see cref="SocketException"/>.
    /// </summary>
    public static Socket Listen(int port)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen();
        return listener;
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var probe = Listen(port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
