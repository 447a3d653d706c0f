using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>
/// Just enough of Redis's protocol to look into a store behind the gateway's back, independent of the client library that
/// the gateway uses. Text is Latin-1 in both directions: a character is a byte, so that binary values survive.
/// </summary>
internal static class RespConnection
{
    /// <summary>
    /// Sends one command over a connection of its own. Arrays come back as one line per element, a missing value as
    /// <c>(nil)</c>, as redis-cli shows them.
    /// </summary>
    /// <param name="host">Where.</param>
    /// <param name="port">Where.</param>
    /// <param name="password">Sent first; null sends none.</param>
    /// <param name="command">The command and its arguments.</param>
    /// <param name="cancellation">A deadline.</param>
    /// <exception cref="InvalidOperationException">The server answered with an error.</exception>
    public static async Task<string> CallAsync(string host, int port, string? password, string[] command, CancellationToken cancellation)
    {
        using var client = new TcpClient(AddressFamily.InterNetwork);
        await client.ConnectAsync(host, port, cancellation);
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.Latin1, detectEncodingFromByteOrderMarks: false);
        if (password is not null)
        {
            await stream.WriteAsync(Encoding.Latin1.GetBytes(Format(["AUTH", password])), cancellation);
            await ReadReplyAsync(reader, cancellation);
        }

        await stream.WriteAsync(Encoding.Latin1.GetBytes(Format(command)), cancellation);
        return await ReadReplyAsync(reader, cancellation);
    }

    /// <summary>Appends one whole reply as it came over the wire, of RESP2 or RESP3.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    public static async Task ReadRawReplyAsync(StreamReader reader, StringBuilder raw, CancellationToken cancellation)
    {
        var line = await reader.ReadLineAsync(cancellation) ?? throw new EndOfStreamException("Redis closed the connection.");
        raw.Append(line).Append("\r\n");
        if (line[0] is not ('$' or '=' or '*' or '~' or '>' or '%'))
        {
            return;
        }

        var length = int.Parse(line[1..], CultureInfo.InvariantCulture);
        if (line[0] is '$' or '=')
        {
            raw.Append(length < 0 ? "" : await ReadBulkAsync(reader, length, cancellation) + "\r\n");
            return;
        }

        for (var i = 0; i < (line[0] == '%' ? 2 * length : length); i++)
        {
            await ReadRawReplyAsync(reader, raw, cancellation);
        }
    }

    private static string Format(string[] command) =>
        string.Create(CultureInfo.InvariantCulture, $"*{command.Length}\r\n")
        + string.Concat(command.Select(part => string.Create(CultureInfo.InvariantCulture, $"${part.Length}\r\n{part}\r\n")));

    private static async Task<string> ReadReplyAsync(StreamReader reader, CancellationToken cancellation)
    {
        var line = await reader.ReadLineAsync(cancellation);
        if (string.IsNullOrEmpty(line))
        {
            throw new EndOfStreamException("Redis closed the connection without a reply.");
        }

        var rest = line[1..];
        return line[0] switch
        {
            '+' or ':' => rest,
            '-' => throw new InvalidOperationException(rest),
            '$' => await ReadBulkAsync(reader, int.Parse(rest, CultureInfo.InvariantCulture), cancellation),
            '*' => await ReadArrayAsync(reader, int.Parse(rest, CultureInfo.InvariantCulture), cancellation),
            _ => throw new InvalidDataException($"Not a RESP2 reply: {line}"),
        };
    }

    private static async Task<string> ReadBulkAsync(StreamReader reader, int length, CancellationToken cancellation)
    {
        if (length < 0)
        {
            return "(nil)";
        }

        var text = new char[length + 2];
        var read = await reader.ReadBlockAsync(text, cancellation);
        return read == text.Length ? new string(text, 0, length) : throw new EndOfStreamException("Redis cut a reply.");
    }

    private static async Task<string> ReadArrayAsync(StreamReader reader, int length, CancellationToken cancellation)
    {
        var elements = new List<string>();
        for (var i = 0; i < length; i++)
        {
            elements.Add(await ReadReplyAsync(reader, cancellation));
        }

        return length < 0 ? "(nil)" : string.Join('\n', elements);
    }
}
