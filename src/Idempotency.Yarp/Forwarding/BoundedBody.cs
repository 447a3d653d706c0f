namespace Idempotency.Yarp.Forwarding;

/// <summary>Reads a stream to its end, unless it has more than is of use.</summary>
internal static class BoundedBody
{
    /// <param name="source">Read to its end, or until it is too long.</param>
    /// <param name="maxBytes">The most that is of use.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <returns>Null when there is more.</returns>
    public static async Task<byte[]?> ReadAsync(Stream source, long maxBytes, CancellationToken cancellationToken)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await source.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (body.Length + read > maxBytes)
            {
                return null;
            }

            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }
}
