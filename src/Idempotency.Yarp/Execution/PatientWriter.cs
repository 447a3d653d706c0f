using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

/// <summary>
/// Gives clients answers that are in memory as a whole, for so long (<c>Limits:SlowReader</c>) and no longer: many that read slowly would hold the
/// memory that others' answers need, and who comes again gets what is on record.
/// </summary>
internal sealed class PatientWriter(LimitSettings limits, BufferBudget budget, TimeProvider time)
{
    /// <summary>For an answer that its client gets as it comes, while others wait for the backend to be done with it.</summary>
    public ClientSpool Spool(HttpContext context, IHttpResponseBodyFeature client, IdempotencyPolicy policy) => new(context, client, policy.MaxAnswerBytes, budget, limits, time);

    /// <summary>Gives what is left of an answer whose backend is done, and for whose end nobody waits any more.</summary>
    public Task FinishAsync(HttpContext context, ClientSpool spool, HeldTail? tail)
    {
        spool.IsUrgent = false;
        return WriteAsync(context, async () =>
        {
            await (tail?.ReleaseAsync() ?? Task.CompletedTask);
            await spool.WhenGivenAsync();
        });
    }

    /// <param name="context">Whose connection is cut when its client is too slow.</param>
    /// <param name="write">Writes the answer.</param>
    public async Task WriteAsync(HttpContext context, Func<Task> write)
    {
        using var patience = new CancellationTokenSource(limits.SlowReader, time);
        await using var cut = patience.Token.UnsafeRegister(static state => ((HttpContext)state!).Abort(), context);
        await write();
    }
}
