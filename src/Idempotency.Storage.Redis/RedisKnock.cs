using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace Idempotency.Storage.Redis;

/// <summary>
/// One plain connection that asks a server or a Sentinel a question. The client library tries for ever and keeps what it was told to
/// itself; this one hears why it is not let in.
/// </summary>
internal sealed class RedisKnock : IDisposable
{
    /// <summary>More than any answer to what is asked here.</summary>
    private const int MaxReplyBytes = 1024 * 1024;

    private readonly Socket _socket;
    private readonly Stream _stream;
    private readonly byte[] _buffer = new byte[4096];
    private int _read;
    private int _filled;

    private RedisKnock(Socket socket, Stream stream)
    {
        _socket = socket;
        _stream = stream;
    }

    /// <summary>Connects, and encrypts the connection where TLS is given.</summary>
    /// <param name="endPoint">Where to.</param>
    /// <param name="tls">Null for a connection that is not encrypted.</param>
    /// <param name="cancellationToken">A deadline.</param>
    public static async Task<RedisKnock> OpenAsync(EndPoint endPoint, SslClientAuthenticationOptions? tls, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken);
            Stream stream = new NetworkStream(socket, ownsSocket: false);
            if (tls is not null)
            {
                var encrypted = new SslStream(stream);
                stream = encrypted;
                await encrypted.AuthenticateAsClientAsync(tls, cancellationToken);
            }

            return new RedisKnock(socket, stream);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Asks one command, and returns a text, a number, a list, null, or <see cref="RedisReplyError"/>.</summary>
    /// <exception cref="IOException">The connection ended, or the reply is none.</exception>
    public async Task<object?> AskAsync(CancellationToken cancellationToken, params string[] command)
    {
        var request = new StringBuilder().Append(CultureInfo.InvariantCulture, $"*{command.Length}\r\n");
        foreach (var part in command)
        {
            request.Append(CultureInfo.InvariantCulture, $"${Encoding.UTF8.GetByteCount(part)}\r\n{part}\r\n");
        }

        await _stream.WriteAsync(Encoding.UTF8.GetBytes(request.ToString()), cancellationToken);
        await _stream.FlushAsync(cancellationToken);
        return await ReadReplyAsync(cancellationToken);
    }

    public void Dispose()
    {
        // The socket first: nothing is sent any more to a server that may hang.
        _socket.Dispose();
        _stream.Dispose();
    }

    private async Task<object?> ReadReplyAsync(CancellationToken cancellationToken)
    {
        var line = await ReadLineAsync(cancellationToken);
        var text = Encoding.UTF8.GetString(line.AsSpan(1));
        switch ((char)line[0])
        {
            case '+':
                return text;
            case '-':
                return new RedisReplyError(text);
            case ':':
                return long.Parse(text, CultureInfo.InvariantCulture);
            case '$':
                var length = LengthOf(line);
                if (length < 0)
                {
                    return null;
                }

                var bytes = new byte[length + 2];
                for (var i = 0; i < bytes.Length; i++)
                {
                    bytes[i] = await ReadByteAsync(cancellationToken);
                }

                return Encoding.UTF8.GetString(bytes.AsSpan(0, length));
            case '*':
                var items = new object?[Math.Max(0, LengthOf(line))];
                for (var i = 0; i < items.Length; i++)
                {
                    items[i] = await ReadReplyAsync(cancellationToken);
                }

                return items;
            default:
                throw new InvalidDataException("not a Redis server");
        }
    }

    private static int LengthOf(byte[] line) =>
        Utf8Parser.TryParse(line.AsSpan(1), out int length, out var read) && read == line.Length - 1 && length is >= -1 and <= MaxReplyBytes
            ? length
            : throw new InvalidDataException("not a Redis server");

    private async Task<byte[]> ReadLineAsync(CancellationToken cancellationToken)
    {
        var line = new List<byte>();
        while (line.Count < MaxReplyBytes)
        {
            var one = await ReadByteAsync(cancellationToken);
            if (one == '\n' && line is [_, .., (byte)'\r'])
            {
                return [.. line[..^1]];
            }

            line.Add(one);
            if (line.Count == 1 && one is not ((byte)'+' or (byte)'-' or (byte)':' or (byte)'$' or (byte)'*'))
            {
                throw new InvalidDataException("not a Redis server"); // the alert of a TLS port, for instance
            }
        }

        throw new InvalidDataException("not a Redis server");
    }

    private async ValueTask<byte> ReadByteAsync(CancellationToken cancellationToken)
    {
        if (_read == _filled)
        {
            _filled = await _stream.ReadAsync(_buffer, cancellationToken);
            _read = 0;
            if (_filled == 0)
            {
                throw new EndOfStreamException();
            }
        }

        return _buffer[_read++];
    }
}
