namespace Idempotency.Yarp;

/// <summary>Writes a whole body with its length, so that the first answer and its replays are framed alike.</summary>
internal static class AnswerBody
{
    /// <summary>In bytes: what is written at once the server copies, however slowly its client reads.</summary>
    private const int PieceSize = 32 * 1024;

    public static async Task WriteAsync(HttpResponse response, ReadOnlyMemory<byte> body)
    {
        response.Headers.Remove("Transfer-Encoding");
        if (response.StatusCode is 204 or 205 or 304)
        {
            // No content, whatever the backend said (RFC 9110, section 8.6).
            response.Headers.Remove("Content-Length");
            return;
        }

        response.ContentLength = body.Length;
        for (var rest = body; !rest.IsEmpty;)
        {
            var size = Math.Min(PieceSize, rest.Length);
            if (await response.BodyWriter.WriteAsync(rest[..size]) is { IsCompleted: true })
            {
                return; // the client is gone
            }

            rest = rest[size..];
        }
    }
}
