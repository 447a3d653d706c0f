using System.IO.Compression;
using System.Runtime.InteropServices;
using Gateway.Forwarding;
using Gateway.Storage;
using Microsoft.Extensions.Primitives;

namespace Gateway.Idempotency;

/// <summary>Gives a recorded answer to a retry: same status, fields and bytes, marked as a replay.</summary>
internal static class Replay
{
    /// <summary>Decoding stops here, in bytes: a small recorded answer may unfold to anything.</summary>
    private const int MaxDecodedBytes = 8 * 1024 * 1024;

    public static async Task WriteAsync(HttpContext context, StoredResponse stored)
    {
        var response = context.Response;
        response.StatusCode = stored.Status;
        foreach (var (name, value) in stored.Headers)
        {
            response.Headers.Append(name, value);
        }

        response.Headers[GatewayHeaders.Replayed] = "true";
        var body = stored.Body;
        if (response.Headers.ContentEncoding is { Count: 1 } coding && !IsAccepted(context.Request, coding) && await DecodeAsync(coding, body) is { } decoded)
        {
            // The first request accepted the coding and this one does not: the same representation, decoded.
            response.Headers.Remove("Content-Encoding");
            response.Headers.Append("Vary", "Accept-Encoding");
            body = decoded;
        }

        await AnswerBody.WriteAsync(response, body);
    }

    /// <summary>RFC 9110, section 12.5.3: without the field, every coding is acceptable.</summary>
    private static bool IsAccepted(HttpRequest request, StringValues coding)
    {
        if (request.Headers.AcceptEncoding.Count == 0)
        {
            return true;
        }

        var accepted = request.GetTypedHeaders().AcceptEncoding;
        var match = accepted.FirstOrDefault(item => item.Value.Equals(coding.ToString(), StringComparison.OrdinalIgnoreCase))
            ?? accepted.FirstOrDefault(item => item.Value == "*");
        return match is not null && match.Quality is not 0;
    }

    private static async Task<ReadOnlyMemory<byte>?> DecodeAsync(StringValues coding, ReadOnlyMemory<byte> body)
    {
        using var source = MemoryMarshal.TryGetArray(body, out var bytes)
            ? new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false)
            : new MemoryStream(body.ToArray(), writable: false);
        await using Stream? decoder = coding.ToString().ToLowerInvariant() switch
        {
            "gzip" or "x-gzip" => new GZipStream(source, CompressionMode.Decompress),
            "br" => new BrotliStream(source, CompressionMode.Decompress),
            "deflate" => new ZLibStream(source, CompressionMode.Decompress),
            _ => null,
        };
        if (decoder is null)
        {
            return null;
        }

        try
        {
            return await BoundedBody.ReadAsync(decoder, MaxDecodedBytes, CancellationToken.None);
        }
        catch (InvalidDataException)
        {
            // Not what Content-Encoding claims; the recorded bytes are the best there is.
            return null;
        }
    }
}
