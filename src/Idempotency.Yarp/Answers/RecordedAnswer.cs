using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What a settled record says to a retry: the answer again, or how it ended when it was not kept.</summary>
/// <param name="Problem">Answered in place of the recorded answer; null when there is one.</param>
/// <param name="Detail">Beside the problem.</param>
/// <param name="Members">Beside the problem.</param>
/// <param name="Stored">The recorded answer.</param>
internal sealed record RecordedAnswer(Problem? Problem, string? Detail = null, Dictionary<string, object?>? Members = null, StoredResponse? Stored = null)
{
    /// <summary>Reads it; never fails.</summary>
    public static RecordedAnswer Read(RecordSeal seal, RequestJournal journal, IdempotencyPolicy policy, RecordId id, ReadOnlyMemory<byte> answer)
    {
        var parse = seal.TryRead(id, answer, out var stored);
        if (parse != RecordParse.Ok)
        {
            journal.UnusableRecord(policy, id, parse);
            return new RecordedAnswer(Problem.StoreUnavailable, "The recorded answer cannot be read. Nothing was forwarded.");
        }

        if (stored.Tombstone == TombstoneReason.None)
        {
            return new RecordedAnswer(null, Stored: stored);
        }

        return NotKept(stored, stored.Tombstone.ToString());
    }

    /// <summary>How an answer ended that cannot be given again. In an object of its own: RFC 9457 reserves the member status for the status of this answer.</summary>
    public static RecordedAnswer NotKept(StoredResponse stored, string reason)
    {
        var location = stored.Headers.FirstOrDefault(header => header.Key.Equals("Location", StringComparison.OrdinalIgnoreCase)).Value;
        var original = new Dictionary<string, object?> { ["status"] = stored.Status, ["location"] = location, ["reason"] = reason };
        return new RecordedAnswer(Problem.AnswerNotKept, Members: new() { ["original"] = original });
    }
}
