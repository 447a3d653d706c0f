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

    /// <summary>No room for it at the moment: the budget is used up. Nothing of it was read.</summary>
    NoRoom,

    /// <summary>No room for the rest of it (the disk is full): what was read is gone, and it cannot be forwarded.</summary>
    Lost,

    /// <summary>Not there in time.</summary>
    TimedOut,

    /// <summary>The size of a chunk is beyond all bounds. Everything else that is malformed the server answers itself.</summary>
    Malformed,
}

/// <summary>
/// Reads and hashes the whole request body before anything is claimed. Up to 64 KiB stay in memory, more goes through a temporary file
/// unless the policy looks into bodies; what is in memory counts against the budget of all requests.
/// </summary>
internal sealed class RequestBodyReader(BufferBudget budget, LimitSettings limits, TimeProvider time)
{
    /// <summary>In bytes.</summary>
    private const int MemoryThreshold = 64 * 1024;

    /// <summary>In bytes: how much goes through the hash and into the file at a time.</summary>
    private const int CopySize = 16 * 1024;

    /// <summary>In bytes, for a body that comes chunked or goes through a file.</summary>
    private const int SpoolMemory = MemoryThreshold + CopySize;

    /// <summary>What a parsed body takes with its bytes, as a multiple of them; roughly, for ordinary documents.</summary>
    private const int ParsedSize = 4;

    /// <returns>The body when Ok; also when it is too large and was begun to be read, to be disposed.</returns>
    /// <exception cref="IOException">The client broke off, or sent a malformed body (<see cref="BadHttpRequestException"/>).</exception>
    public async ValueTask<(BodyRead Result, RequestBody? Body)> ReadAsync(HttpContext context, IdempotencyPolicy policy)
    {
        var request = context.Request;
        if (request.ContentLength > policy.MaxRequestBodyBytes)
        {
            return (BodyRead.TooLarge, null);
        }

        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false })
        {
            return (BodyRead.Ok, new RequestBody(request, budget, 0));
        }

        // What the policy looks into is held as a whole; how long a chunked body is shows when it has been read.
        var room = policy.ParsesBody ? ParsedSize * ((request.ContentLength ?? policy.MaxRequestBodyBytes) + CopySize) : Math.Min(request.ContentLength ?? SpoolMemory, SpoolMemory);
        if (!budget.TryTakeForRequest(room))
        {
            return (BodyRead.NoRoom, null);
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // The policy's limit is enforced here, in place of the server's; which stays where a policy that observes lets the body pass unread.
            limit.MaxRequestBodySize = null;
        }

        var held = new RequestBody(request, budget, room);
        var result = BodyRead.NoRoom;
        using var deadline = new CancellationTokenSource(policy.Mode == PolicyMode.Observe ? Timeout.InfiniteTimeSpan : limits.RequestBodyTimeout, time);
        try
        {
            result = request.ContentLength is { } length && (length <= MemoryThreshold || policy.ParsesBody)
                ? await ReadKnownAsync(held, request.Body, (int)length, deadline.Token)
                : await SpoolAsync(held, request.Body, policy, deadline.Token);
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
        catch (Exception e) when (IsOurs(e) && !context.RequestAborted.IsCancellationRequested)
        {
            result = BodyRead.Lost;
        }
        finally
        {
            if (result is not (BodyRead.Ok or BodyRead.TooLarge))
            {
                await held.DisposeAsync();
            }
        }

        return (result, result is BodyRead.Ok or BodyRead.TooLarge ? held : null);
    }

    /// <summary>Whether reading failed for a reason of ours (a full disk), not the client's.</summary>
    private static bool IsOurs(Exception e) =>
        e is UnauthorizedAccessException || (e is IOException and not (BadHttpRequestException or ConnectionResetException or EndOfStreamException));

    private static async ValueTask<BodyRead> ReadKnownAsync(RequestBody held, Stream source, int length, CancellationToken cancellationToken)
    {
        await source.ReadExactlyAsync(held.Rent(length).AsMemory(0, length), cancellationToken);
        held.UseBuffer(length);
        return BodyRead.Ok;
    }

    private static async ValueTask<BodyRead> SpoolAsync(RequestBody held, Stream source, IdempotencyPolicy policy, CancellationToken cancellationToken)
    {
        var buffer = new byte[CopySize].AsMemory();
        var spool = new FileBufferingReadStream(source, MemoryThreshold);
        held.UseStream(spool, default);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var total = 0L;
        int read;
        while ((read = await spool.ReadAsync(buffer, cancellationToken)) > 0)
        {
            total += read;
            if (total > policy.MaxRequestBodyBytes)
            {
                // Readable from its beginning all the same, for a policy that only observes.
                spool.Position = 0;
                return BodyRead.TooLarge;
            }

            hash.AppendData(buffer.Span[..read]);
        }

        spool.Position = 0;
        held.UseStream(spool, Digest.From(hash.GetHashAndReset()));
        if (policy.ParsesBody)
        {
            await using (spool)
            {
                await ReadKnownAsync(held, spool, (int)total, cancellationToken);
            }
        }

        return BodyRead.Ok;
    }
}
