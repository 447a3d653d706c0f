using System.Buffers;
using System.Security.Cryptography;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;

namespace Gateway.Idempotency;

/// <summary>
/// The whole request body, read and hashed before anything is claimed, and readable again by the forwarder. Up to 64 KiB stay in
/// memory, more goes through a temporary file.
/// </summary>
internal sealed class RequestBody : IAsyncDisposable
{
    /// <summary>In bytes.</summary>
    private const int MemoryThreshold = 64 * 1024;

    private readonly HttpRequest _request;
    private readonly Stream _original;
    private readonly byte[]? _rented;

    private RequestBody(HttpRequest request, Stream replacement, byte[]? rented, in Digest digest)
    {
        _request = request;
        _original = request.Body;
        _rented = rented;
        Digest = digest;
        request.Body = replacement;
    }

    /// <summary>SHA-256 of the bytes.</summary>
    public Digest Digest { get; }

    /// <returns>Null when the body is larger than the policy allows.</returns>
    /// <exception cref="IOException">The client broke off, or sent a malformed body (<see cref="BadHttpRequestException"/>).</exception>
    public static async ValueTask<RequestBody?> ReadAsync(HttpContext context, IdempotencyPolicy policy)
    {
        var request = context.Request;
        if (request.ContentLength > policy.MaxRequestBodyBytes)
        {
            return null;
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // The policy's limit is enforced here, in place of the server's.
            limit.MaxRequestBodySize = null;
        }

        return context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false } ? new RequestBody(request, request.Body, null, Hash([]))
            : request.ContentLength <= MemoryThreshold ? await ReadIntoMemoryAsync(request, (int)request.ContentLength)
            : await SpoolAsync(request, policy.MaxRequestBodyBytes, context.RequestAborted);
    }

    /// <summary>Whether reading failed for a reason of ours (a full disk), not the client's.</summary>
    public static bool IsOurs(IOException e) => e is not (BadHttpRequestException or ConnectionResetException or EndOfStreamException);

    public async ValueTask DisposeAsync()
    {
        if (!ReferenceEquals(_request.Body, _original))
        {
            await _request.Body.DisposeAsync();
            _request.Body = _original;
        }

        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
        }
    }

    private static async ValueTask<RequestBody> ReadIntoMemoryAsync(HttpRequest request, int length)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            await request.Body.ReadExactlyAsync(buffer.AsMemory(0, length));
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(buffer);
            throw;
        }

        return new RequestBody(request, new MemoryStream(buffer, 0, length, writable: false), buffer, Hash(buffer.AsSpan(0, length)));
    }

    private static async ValueTask<RequestBody?> SpoolAsync(HttpRequest request, long maxBytes, CancellationToken cancellationToken)
    {
        var spool = new FileBufferingReadStream(request.Body, MemoryThreshold);
        var buffer = ArrayPool<byte>.Shared.Rent(MemoryThreshold);
        var complete = false;
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var total = 0L;
            int read;
            while ((read = await spool.ReadAsync(buffer, cancellationToken)) > 0)
            {
                total += read;
                if (total > maxBytes)
                {
                    return null;
                }

                hash.AppendData(buffer, 0, read);
            }

            spool.Position = 0;
            complete = true;
            return new RequestBody(request, spool, null, Digest.From(hash.GetHashAndReset()));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            if (!complete)
            {
                await spool.DisposeAsync();
            }
        }
    }

    private static Digest Hash(ReadOnlySpan<byte> bytes)
    {
        Span<byte> hash = stackalloc byte[Digest.Size];
        SHA256.HashData(bytes, hash);
        return Digest.From(hash);
    }
}
