using System.Net.Sockets;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>Lines and counted bytes off a socket, with the end of the stream and a reset told apart.</summary>
internal sealed class SocketReader(Socket socket)
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _next;
    private int _end;

    /// <summary>Whether the stream ended by RST instead of FIN.</summary>
    public bool WasReset { get; private set; }

    /// <summary>False when the stream has ended and every byte of it was read.</summary>
    public async Task<bool> HasMoreAsync(CancellationToken cancellation)
    {
        if (_next < _end)
        {
            return true;
        }

        try
        {
            (_next, _end) = (0, await socket.ReceiveAsync(_buffer, cancellation));
        }
        catch (SocketException)
        {
            (_next, _end, WasReset) = (0, 0, true);
        }

        return _end > 0;
    }

    /// <summary>A line without its end (CRLF, or a bare LF).</summary>
    /// <exception cref="EndOfStreamException">The stream ended before the line did.</exception>
    public async Task<string> ReadLineAsync(CancellationToken cancellation)
    {
        var line = new StringBuilder();
        while (await HasMoreAsync(cancellation))
        {
            var character = (char)_buffer[_next++];
            if (character == '\n')
            {
                return line.ToString().TrimEnd('\r');
            }

            line.Append(character);
        }

        throw new EndOfStreamException($"The connection ended inside a line: '{line}'.");
    }

    // False when the stream ended before that many bytes had come.
    public async Task<bool> CopyAsync(MemoryStream into, long count, CancellationToken cancellation)
    {
        while (count > 0 && await HasMoreAsync(cancellation))
        {
            var taken = (int)Math.Min(count, _end - _next);
            into.Write(_buffer, _next, taken);
            _next += taken;
            count -= taken;
        }

        return count == 0;
    }
}
