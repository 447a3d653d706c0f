using System.Buffers;
using System.IO.Compression;
using System.Runtime.InteropServices;
using Idempotency.Storage;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>Gives a recorded answer to a retry: same status, fields and bytes, marked as a replay.</summary>
internal static class Replay
{
    /// <summary>What unfolds to more is given as it was recorded: a small answer may unfold to anything.</summary>
    private const int MaxDecodedBytes = 8 * 1024 * 1024;

    private const int PieceBytes = 16 * 1024;

    /// <summary>They are about the bytes in that coding (RFC 9530, sections 2 and 3; RFC 9110, section 14.3).</summary>
    private static readonly string[] OfTheCoding = ["Content-Encoding", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "Accept-Ranges"];

    public static async Task WriteAsync(HttpContext context, StoredResponse stored)
    {
        context.Features.Set(OwnAnswer.Instance);
        var response = context.Response;
        response.StatusCode = stored.Status;
        foreach (var (name, value) in stored.Headers)
        {
            // Not Append, which drops a field without a value.
            response.Headers[name] = StringValues.Concat(response.Headers[name], value);
        }

        response.Headers[GatewayHeaders.Replayed] = "true";
        var body = stored.Body;
        if (response.Headers.ContentEncoding is { Count: 1 } coding && !body.IsEmpty && !IsAccepted(context.Request, coding) && await DecodedLengthAsync(coding, body) is { } length)
        {
            // The first request accepted the coding and this one does not: the same representation, decoded.
            foreach (var field in OfTheCoding)
            {
                response.Headers.Remove(field);
            }

            // Strong validators are of one sequence of bytes (RFC 9110, section 8.8.1).
            if (response.Headers.ETag is [['"', ..] strong])
            {
                response.Headers.ETag = $"W/{strong}";
            }

            response.Headers.Append("Vary", "Accept-Encoding");
            response.ContentLength = length;
            await using var decoder = Open(coding, body)!;
            await decoder.CopyToAsync(response.Body, PieceBytes, context.RequestAborted);
            return;
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

    /// <summary>
    /// Decodes it for nobody, piece by piece: that it can be decoded, and how long it is, must be known before the status goes out, and to hold it all
    /// for every client that reads slowly would be much more than what was recorded.
    /// </summary>
    /// <returns>Null when it is not what Content-Encoding says, or too large.</returns>
    private static async Task<long?> DecodedLengthAsync(StringValues coding, ReadOnlyMemory<byte> body)
    {
        await using var decoder = Open(coding, body);
        if (decoder is null)
        {
            return null;
        }

        var piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            var length = 0L;
            while (await decoder.ReadAsync(piece) is var read and > 0)
            {
                length += read;
                if (length > MaxDecodedBytes)
                {
                    return null;
                }
            }

            return length;
        }
        catch (InvalidDataException)
        {
            // The recorded bytes are the best there is.
            return null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    private static Stream? Open(StringValues coding, ReadOnlyMemory<byte> body)
    {
        var source = MemoryMarshal.TryGetArray(body, out var bytes)
            ? new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false)
            : new MemoryStream(body.ToArray(), writable: false);
        return coding.ToString().ToLowerInvariant() switch
        {
            "gzip" or "x-gzip" => new GZipStream(source, CompressionMode.Decompress),
            "br" => new BrotliStream(source, CompressionMode.Decompress),
            "deflate" => new ZLibStream(source, CompressionMode.Decompress),
            _ => null,
        };
    }
}
