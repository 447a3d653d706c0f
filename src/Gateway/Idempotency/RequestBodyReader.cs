using System.Security.Cryptography;
using Gateway.Configuration;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;

namespace Gateway.Idempotency;

/// <summary>How reading a request body ended.</summary>
internal enum BodyRead
{
    Ok,

    /// <summary>Larger than the policy allows.</summary>
    TooLarge,

    /// <summary>No room for it at the moment: the budget is used up, or the disk is full.</summary>
    NoRoom,

    /// <summary>Not there in time.</summary>
    TimedOut,

    /// <summary>The size of a chunk is beyond all bounds. Everything else that is malformed the server answers itself.</summary>
    Malformed,
}

/// <summary>
/// Reads and hashes the whole request body before anything is claimed. Up to 64 KiB stay in memory, more goes through a temporary file;
/// what is in memory counts against the budget of all requests.
/// </summary>
internal sealed class RequestBodyReader(BufferBudget budget, LimitSettings limits, TimeProvider time)
{
    /// <summary>In bytes.</summary>
    private const int MemoryThreshold = 64 * 1024;

    /// <summary>In bytes: how much goes through the hash and into the file at a time.</summary>
    private const int CopySize = 16 * 1024;

    /// <summary>In bytes, for a body that comes chunked or goes through a file.</summary>
    private const int SpoolMemory = MemoryThreshold + CopySize;

    /// <exception cref="IOException">The client broke off, or sent a malformed body (<see cref="BadHttpRequestException"/>).</exception>
    public async ValueTask<(BodyRead Result, RequestBody? Body)> ReadAsync(HttpContext context, IdempotencyPolicy policy)
    {
        var request = context.Request;
        if (request.ContentLength > policy.MaxRequestBodyBytes)
        {
            return (BodyRead.TooLarge, null);
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // The policy's limit is enforced here, in place of the server's.
            limit.MaxRequestBodySize = null;
        }

        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false })
        {
            return (BodyRead.Ok, new RequestBody(request, budget, 0));
        }

        var room = (int)Math.Min(request.ContentLength ?? SpoolMemory, SpoolMemory);
        if (!budget.TryTakeForRequest(room))
        {
            return (BodyRead.NoRoom, null);
        }

        var held = new RequestBody(request, budget, room);
        var result = BodyRead.NoRoom;
        using var deadline = new CancellationTokenSource(limits.RequestBodyTimeout, time);
        try
        {
            result = request.ContentLength <= MemoryThreshold
                ? await ReadIntoMemoryAsync(held, request.Body, (int)request.ContentLength, deadline.Token)
                : await SpoolAsync(held, request.Body, policy.MaxRequestBodyBytes, deadline.Token);
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested)
        {
            result = BodyRead.TimedOut;
        }
        catch (IOException e) when (e.InnerException is OverflowException)
        {
            // What Kestrel makes of a chunk size beyond all bounds.
            result = BodyRead.Malformed;
        }
        catch (IOException e) when (IsOurs(e) && !context.RequestAborted.IsCancellationRequested)
        {
            result = BodyRead.NoRoom;
        }
        finally
        {
            if (result != BodyRead.Ok)
            {
                await held.DisposeAsync();
            }
        }

        return (result, result == BodyRead.Ok ? held : null);
    }

    /// <summary>Whether reading failed for a reason of ours (a full disk), not the client's.</summary>
    private static bool IsOurs(IOException e) => e is not (BadHttpRequestException or ConnectionResetException or EndOfStreamException);

    private static async ValueTask<BodyRead> ReadIntoMemoryAsync(RequestBody held, Stream source, int length, CancellationToken cancellationToken)
    {
        var buffer = held.Rent(length);
        await source.ReadExactlyAsync(buffer.AsMemory(0, length), cancellationToken);
        held.Replace(new MemoryStream(buffer, 0, length, writable: false), Digest.From(SHA256.HashData(buffer.AsSpan(0, length))));
        return BodyRead.Ok;
    }

    private static async ValueTask<BodyRead> SpoolAsync(RequestBody held, Stream source, long maxBytes, CancellationToken cancellationToken)
    {
        var buffer = held.Rent(CopySize).AsMemory(0, CopySize);
        var spool = new FileBufferingReadStream(source, MemoryThreshold);
        held.Replace(spool, default);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var total = 0L;
        int read;
        while ((read = await spool.ReadAsync(buffer, cancellationToken)) > 0)
        {
            total += read;
            if (total > maxBytes)
            {
                return BodyRead.TooLarge;
            }

            hash.AppendData(buffer.Span[..read]);
        }

        spool.Position = 0;
        held.Replace(spool, Digest.From(hash.GetHashAndReset()));
        return BodyRead.Ok;
    }
}
