using System.Globalization;
using System.Net.Sockets;

namespace Gateway.Tests.Support;

/// <summary>
/// Reads HTTP/1.1 messages off a socket without correcting anything, so that tests see the bytes that were sent: no header
/// is merged, dropped or reordered, and a cut message is told apart from a whole one.
/// </summary>
internal sealed class Http1Reader(Socket socket)
{
    private readonly SocketReader _reader = new(socket);

    /// <summary>The next request, or null when the connection ends before its first byte.</summary>
    /// <exception cref="EndOfStreamException">The connection ended inside the head.</exception>
    public Task<Http1Message?> ReadRequestAsync(CancellationToken cancellation) =>
        ReadAsync(framingOf: (_, headers) => FramingOf(headers) ?? Http1Framing.None, cancellation);

    /// <summary>
    /// The next response, interim ones included, or null when the connection ends before its first byte. The answer to HEAD
    /// has no body.
    /// </summary>
    /// <exception cref="EndOfStreamException">The connection ended inside the head.</exception>
    public Task<Http1Message?> ReadResponseAsync(bool hasBody, CancellationToken cancellation) =>
        ReadAsync(
            framingOf: (startLine, headers) => !hasBody || IsBodyless(startLine) ? Http1Framing.None : FramingOf(headers) ?? Http1Framing.Close,
            cancellation);

    private static bool IsBodyless(string statusLine) =>
        statusLine.Split(' ') is [_, var status, ..] && (status is "204" or "304" || status.StartsWith('1'));

    private static Http1Framing? FramingOf(IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        var coding = Http1Message.ValuesOf(headers, "Transfer-Encoding").LastOrDefault() ?? "";
        return coding.EndsWith("chunked", StringComparison.OrdinalIgnoreCase) ? Http1Framing.Chunked
            : LengthOf(headers) is not null ? Http1Framing.ContentLength
            : null;
    }

    private static string? LengthOf(IReadOnlyList<KeyValuePair<string, string>> headers) =>
        Http1Message.ValuesOf(headers, "Content-Length").FirstOrDefault();

    private async Task<Http1Message?> ReadAsync(
        Func<string, IReadOnlyList<KeyValuePair<string, string>>, Http1Framing> framingOf, CancellationToken cancellation)
    {
        if (!await _reader.HasMoreAsync(cancellation))
        {
            return null;
        }

        var startLine = await _reader.ReadLineAsync(cancellation);
        var headers = await ReadFieldsAsync(cancellation);
        var framing = framingOf(startLine, headers);
        using var body = new MemoryStream();
        var trailers = new List<KeyValuePair<string, string>>();
        var isComplete = framing switch
        {
            Http1Framing.None => true,
            Http1Framing.ContentLength => await _reader.CopyAsync(body, long.Parse(LengthOf(headers)!, CultureInfo.InvariantCulture), cancellation),
            Http1Framing.Chunked => await CopyChunksAsync(body, trailers, cancellation),
            _ => !await _reader.CopyAsync(body, long.MaxValue, cancellation) && !_reader.WasReset,
        };
        return new Http1Message(startLine, headers, body.ToArray(), trailers, framing, isComplete);
    }

    private async Task<bool> CopyChunksAsync(MemoryStream body, List<KeyValuePair<string, string>> trailers, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                var line = await _reader.ReadLineAsync(cancellation);
                var size = long.Parse(line.Split(';')[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                if (size == 0)
                {
                    trailers.AddRange(await ReadFieldsAsync(cancellation));
                    return true;
                }

                if (!await _reader.CopyAsync(body, size, cancellation))
                {
                    return false;
                }

                await _reader.ReadLineAsync(cancellation);
            }
        }
        catch (EndOfStreamException)
        {
            return false;
        }
    }

    private async Task<List<KeyValuePair<string, string>>> ReadFieldsAsync(CancellationToken cancellation)
    {
        var fields = new List<KeyValuePair<string, string>>();
        while (await _reader.ReadLineAsync(cancellation) is { Length: > 0 } line)
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            fields.Add(colon < 0 ? new(line, "") : new(line[..colon], line[(colon + 1)..].Trim(' ', '\t')));
        }

        return fields;
    }
}
