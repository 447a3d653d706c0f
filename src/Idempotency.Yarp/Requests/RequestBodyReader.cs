using System.Security.Cryptography;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;

namespace Idempotency.Yarp;

/// <summary>How reading a request body ended.</summary>
internal enum BodyRead
{
    Ok,

    /// <summary>Larger than the policy allows.</summary>
    TooLarge,

    /// <summary>No room for it at the moment: the budget is used up. What was read of it, and the rest, can still be forwarded once.</summary>
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
/// unless the policy looks into bodies; what is in memory counts against the budget of all requests, as it arrives.
/// </summary>
internal sealed class RequestBodyReader(BufferBudget budget, LimitSettings limits, TimeProvider time)
{
    /// <summary>In bytes.</summary>
    private const int MemoryThreshold = 64 * 1024;

    /// <summary>In bytes: how much goes through the hash and into the file at a time.</summary>
    private const int CopySize = 16 * 1024;

    /// <summary>In bytes: the first piece of a body.</summary>
    private const int FirstSize = 4 * 1024;

    /// <returns>The body when Ok; also when it is too large or there is no room, and it was begun to be read, to be disposed.</returns>
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
            return (BodyRead.Ok, new RequestBody(request, budget));
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // The policy's limit is enforced here, in place of the server's; which stays where a policy that observes lets the body pass unread.
            limit.MaxRequestBodySize = null;
        }

        var held = new RequestBody(request, budget);
        var result = BodyRead.Lost;
        using var deadline = new CancellationTokenSource(policy.Mode == PolicyMode.Observe ? Timeout.InfiniteTimeSpan : limits.RequestBodyTimeout, time);
        try
        {
            result = await FillAsync(held, request, policy, deadline.Token);
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
            if (!IsReadable(result))
            {
                await held.DisposeAsync();
            }
        }

        return (result, IsReadable(result) ? held : null);
    }

    private static bool IsReadable(BodyRead result) => result is BodyRead.Ok or BodyRead.TooLarge or BodyRead.NoRoom;

    /// <summary>Whether reading failed for a reason of ours (a full disk), not the client's.</summary>
    private static bool IsOurs(Exception e) =>
        e is UnauthorizedAccessException || (e is IOException and not (BadHttpRequestException or ConnectionResetException or EndOfStreamException));

    /// <summary>Into memory, with room for what is there; what is too large for memory, and is not looked into, goes on through a file.</summary>
    private static async ValueTask<BodyRead> FillAsync(RequestBody held, HttpRequest request, IdempotencyPolicy policy, CancellationToken cancellationToken)
    {
        var source = request.Body;
        var most = policy.MaxRequestBodyBytes;
        var length = 0;
        while (length != request.ContentLength)
        {
            if (length == MemoryThreshold && !policy.ParsesBody)
            {
                return await SpoolAsync(held, held.UseRest(length), policy, cancellationToken);
            }

            if (length == held.Buffer.Length)
            {
                // Four times as much; who has sent 64 KiB of an announced length gets room for all of it.
                var end = request.ContentLength ?? most + 1;
                var size = length >= MemoryThreshold && request.ContentLength is not null ? end : Math.Min(Math.Max(FirstSize, 4L * length), end);
                if (!held.TryGrow((int)Math.Max(size, length + 1)))
                {
                    held.UseRest(length);
                    return BodyRead.NoRoom;
                }
            }

            var read = await source.ReadAsync(held.Buffer[length..], cancellationToken);
            if (read == 0)
            {
                break;
            }

            length += read;
            if (length > most)
            {
                held.UseRest(length);
                return BodyRead.TooLarge;
            }
        }

        held.UseBuffer(length);
        return !policy.ParsesBody || held.TryHold(ParsedBody.SizeOf(held.Bytes.Span)) ? BodyRead.Ok : BodyRead.NoRoom;
    }

    private static async ValueTask<BodyRead> SpoolAsync(RequestBody held, Stream source, IdempotencyPolicy policy, CancellationToken cancellationToken)
    {
        var buffer = new byte[CopySize].AsMemory();
        var spool = new FileBufferingReadStream(source, memoryThreshold: 0);
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
        return BodyRead.Ok;
    }
}
