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

    /// <summary>What a settled record says to a retry. Never fails; a body that is kept apart is not fetched.</summary>
    public Decision Read(IdempotencyPolicy policy, FoundKey key)
    {
        var parse = seal.TryRead(key.Id, key.Result.Answer, out var stored);
        if (parse != RecordParse.Ok)
        {
            journal.UnusableRecord(policy, key.Id, parse);
            return new Decision.Refuse(Problem.StoreUnavailable, "The recorded answer cannot be read. Nothing was forwarded.", Refusals.SoonRetryAfter, key.Id);
        }

        return stored.Tombstone == TombstoneReason.None ? new Decision.Replay(key, stored) : NotKept(key.Id, stored, stored.Tombstone.ToString());
    }

    /// <summary>Fetches the body of an answer that is kept apart.</summary>
    /// <returns>The whole answer, or what to say in its place.</returns>
    public async Task<Decision> FetchAsync(IdempotencyPolicy policy, Decision.Replay replay)
    {
        var (id, stored) = (replay.Key.Id, replay.Answer);
        var fetched = await apart.ReadAsync(id, stored.Apart!.Value);
        journal.BodyFetched(policy, id, fetched.End);
        return fetched.End switch
        {
            BodyFetch.Read => replay with { Answer = stored with { Body = fetched.Body, Apart = null } },
            BodyFetch.Unreachable => new Decision.Refuse(
                Problem.StoreUnavailable, "The request was executed, and its recorded answer cannot be fetched at the moment. Repeat it with the same key.", Refusals.SoonRetryAfter, id),
            _ => NotKept(id, stored, fetched.End.ToString()),
        };
    }

    /// <summary>The whole answer as one record, for the memory.</summary>
    public ReadOnlyMemory<byte> Whole(RecordId id, StoredResponse response) => seal.Write(id, response);

    /// <summary>How an answer ended that cannot be given again. In an object of its own: RFC 9457 reserves the member status for the status of this answer.</summary>
    private static Decision.Refuse NotKept(RecordId id, StoredResponse stored, string reason)
    {
        var location = stored.Headers.FirstOrDefault(header => header.Key.Equals("Location", StringComparison.OrdinalIgnoreCase)).Value;
        var original = new Dictionary<string, object?> { ["status"] = stored.Status, ["location"] = location, ["reason"] = reason };
        return new(Problem.AnswerNotKept, Record: id) { Members = new() { ["original"] = original } };
    }
}
