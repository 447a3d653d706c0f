using System.Collections.Concurrent;
using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>
/// Bodies of recorded answers, kept apart from the records that decide (<c>Store:Answers</c>). Nothing here says whether a request ran: a
/// body that is lost is an answer that cannot be given again, and no more.
/// </summary>
internal sealed class AnswersApart(StoreSettings settings, RecordIds recordIds, BodySeal seal, AnswersServer? server = null)
{
    /// <summary>A body outlives its record, whose retention began earlier, by about this.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<(RecordId Id, BodyReference Reference), Lazy<Task<FetchedBody>>> _fetches = new();
    private volatile byte[]? _secret;

    /// <summary>Whether a body of this size is kept apart.</summary>
    public bool Takes(int length) => server is not null && length >= settings.Answers.MinBytes;

    /// <returns>What to record of it, once the server has acknowledged it; null when it has not, in time.</returns>
    public async Task<BodyReference?> TryWriteAsync(ClaimRequest claim, ReadOnlyMemory<byte> body)
    {
        var reference = new BodyReference(claim.Token, body.Length, BodySeal.HashOf(body.Span));
        return await KeyAsync(claim.Id, reference) is { } key
            && await server!.TryWriteAsync(key, seal.SizeOf(body.Length), () => seal.Write(claim.Id, reference, body.Span), claim.Retention + Margin)
                ? reference
                : null;
    }

    /// <summary>However many ask for one at the same time, it is fetched once.</summary>
    public async Task<FetchedBody> ReadAsync(RecordId id, BodyReference reference)
    {
        var key = (id, reference); // the name of a body is of both, and so is what it is checked against
        var fetch = _fetches.GetOrAdd(key, _ => new Lazy<Task<FetchedBody>>(() => FetchAsync(id, reference)));
        try
        {
            return await fetch.Value;
        }
        finally
        {
            _fetches.TryRemove(KeyValuePair.Create(key, fetch));
        }
    }

    private async Task<FetchedBody> FetchAsync(RecordId id, BodyReference reference)
    {
        if (server is null || await KeyAsync(id, reference) is not { } key)
        {
            return new FetchedBody(BodyFetch.Unreachable);
        }

        var (isAnswered, value) = await server.ReadAsync(key, seal.SizeOf(reference.Length));
        return !isAnswered ? new FetchedBody(BodyFetch.Unreachable)
            : value is null ? new FetchedBody(BodyFetch.Gone)
            : seal.TryRead(id, reference, value, out var body) ? new FetchedBody(BodyFetch.Read, body)
            : new FetchedBody(BodyFetch.Altered);
    }

    /// <summary>Nobody without the secret can tell whose body it is, or where the one of a given key stands.</summary>
    /// <returns>Null when the secret is in the store, and the store is away. It must not pass for the store's word on a key.</returns>
    private async ValueTask<string?> KeyAsync(RecordId id, BodyReference reference)
    {
        try
        {
            _secret = await recordIds.GetSecretAsync();
        }
        catch (StoreUnavailableException)
        {
            // The one that the record's id was made with, a moment ago, will do.
        }

        return _secret is { } secret ? RecordIds.NameOfBody(secret, id, reference.Token) : null;
    }
}
