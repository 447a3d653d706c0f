using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>Answers retries from the record: fetches a body that is kept apart, and keeps what was given near for the next one.</summary>
internal sealed class Replays(AnswerRecords records, NearCopies copies, BufferBudget budget, PatientWriter writer, Refusals refusals, RequestJournal journal)
{
    public async Task AnswerAsync(HttpContext context, IdempotencyPolicy policy, Decision.Replay replay)
    {
        var isApart = replay.Answer.Apart is not null;
        var decision = isApart ? await records.FetchAsync(policy, replay) : replay;
        if (decision is Decision.Refuse refusal)
        {
            await refusals.AnswerAsync(context, policy, refusal);
            return;
        }

        var (key, answer) = (Decision.Replay)decision;

        // A client that reads slowly holds the answer in memory for as long; one that is a near copy is there, and counted, anyway.
        using var near = copies.Pin(key.Id, answer.Body);
        if (near is null && !budget.TryTakeForReplay(answer.Body.Length))
        {
            await refusals.AnswerAsync(context, policy, new Decision.Refuse(
                Problem.StoreUnavailable, "The request was executed, and there is no room to give its recorded answer at the moment. Repeat it with the same key.", Refusals.SoonRetryAfter, key.Id));
            return;
        }

        try
        {
            KeepNear(key, answer, isApart);
            journal.Replayed(policy, key.Id, answer.Status);
            await writer.WriteAsync(context, () => Replay.WriteAsync(context, answer));
        }
        finally
        {
            if (near is null)
            {
                budget.Return(answer.Body.Length);
            }
        }
    }

    /// <summary>For the next retry. A copy of a body that was kept apart is made only where it is wanted, and only the near copies hold it.</summary>
    private void KeepNear(FoundKey key, StoredResponse answer, bool isApart)
    {
        if (!isApart || copies.Wants(key.Id, answer.Body.Length))
        {
            copies.Add(key.Id, key.Result.Fingerprint, isApart ? records.Whole(key.Id, answer) : key.Result.Answer, key.AskedAt.Timestamp, key.Result.Remaining);
        }
    }
}
