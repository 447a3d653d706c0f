using System.Net;
using System.Net.Sockets;

namespace Gateway;

/// <summary>Says which of a gateway's addresses somebody else listens on: the server names the first one only, and not the setting.</summary>
internal static class ListenAddresses
{
    /// <param name="urls">What is written, separated by <c>;</c>.</param>
    /// <returns>Those in use, as they are written.</returns>
    public static IReadOnlyList<string> InUse(string urls) => [.. urls.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Where(IsInUse)];

    private static bool IsInUse(string url)
    {
        try
        {
            var address = BindingAddress.Parse(url);
            if (address.IsUnixPipe || address.Port == 0)
            {
                return false;
            }

            var ip = IPAddress.TryParse(address.Host, out var parsed) ? parsed
                : address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? IPAddress.Loopback
                : IPAddress.IPv6Any;
            using var socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (ip.Equals(IPAddress.IPv6Any))
            {
                socket.DualMode = true;
            }

            socket.Bind(new IPEndPoint(ip, address.Port));
            socket.Listen();
            return false;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.AddressAlreadyInUse;
        }
        catch (Exception e) when (e is FormatException or ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}
