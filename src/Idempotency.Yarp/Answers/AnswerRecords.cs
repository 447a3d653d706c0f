using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Writes and reads recorded answers, whole or with their bodies apart. Order of a write: the body, acknowledged; then, by the caller, the
/// record that refers to it; then the client's answer.
/// </summary>
internal sealed class AnswerRecords(RecordSeal seal, AnswersApart apart, RequestJournal journal)
{
    /// <summary>Never fails: a body that cannot be kept apart goes into the record, or, too large for that, is not kept.</summary>
    /// <param name="policy">For log and metric.</param>
    /// <param name="claim">Whose answer it is.</param>
    /// <param name="response">The whole answer, or a tombstone.</param>
    public async ValueTask<WrittenAnswer> WriteAsync(IdempotencyPolicy policy, ClaimRequest claim, StoredResponse response)
    {
        var reference = apart.Takes(response.Body.Length) ? await apart.TryWriteAsync(claim, response.Body) : null;
        if (reference is not null)
        {
            TestHooks.CrashPoint("P5B");
            journal.BodyWritten(policy, "apart");
            response = response with { Body = default, Apart = reference };
        }
        else if (apart.Takes(response.Body.Length) && response.Body.Length > AnswersSettings.MaxInlineBytes)
        {
            journal.BodyDropped(policy, claim.Id, response.Body.Length);
            response = response with { Body = default, Tombstone = TombstoneReason.NoRoom };
        }
        else if (apart.Takes(response.Body.Length))
        {
            journal.BodyWritten(policy, "inline");
        }

        return new WrittenAnswer(seal.Write(claim.Id, response), response.Tombstone, reference is not null);
    }

    /// <summary>What the record says; a body that is kept apart is not fetched.</summary>
    public RecordedAnswer Read(IdempotencyPolicy policy, RecordId id, ReadOnlyMemory<byte> answer) => RecordedAnswer.Read(seal, journal, policy, id, answer);

    /// <summary>Fetches the body of an answer that is kept apart.</summary>
    /// <returns>The whole answer, or what to say in its place.</returns>
    public async Task<RecordedAnswer> FetchAsync(IdempotencyPolicy policy, RecordId id, StoredResponse stored)
    {
        var fetched = await apart.ReadAsync(id, stored.Apart!.Value);
        journal.BodyFetched(policy, id, fetched.End);
        return fetched.End switch
        {
            BodyFetch.Read => new RecordedAnswer(null, Stored: stored with { Body = fetched.Body, Apart = null }),
            BodyFetch.Unreachable => new RecordedAnswer(Problem.StoreUnavailable, "The request was executed, and its recorded answer cannot be fetched at the moment. Repeat it with the same key."),
            _ => RecordedAnswer.NotKept(stored, fetched.End.ToString()),
        };
    }

    /// <summary>The whole answer as one record, for the memory.</summary>
    public ReadOnlyMemory<byte> Whole(RecordId id, StoredResponse response) => seal.Write(id, response);
}
