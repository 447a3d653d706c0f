using Gateway.Configuration;

namespace Gateway.Idempotency;

/// <summary>
/// Gives clients answers that are in memory as a whole, for so long (<c>Limits:SlowReader</c>) and no longer: many that read slowly would hold the
/// memory that others' answers need, and who comes again gets what is on record.
/// </summary>
internal sealed class PatientWriter(LimitSettings limits, TimeProvider time)
{
    /// <param name="context">Whose connection is cut when its client is too slow.</param>
    /// <param name="write">Writes the answer.</param>
    public async Task WriteAsync(HttpContext context, Func<Task> write)
    {
        using var patience = new CancellationTokenSource(limits.SlowReader, time);
        await using var cut = patience.Token.UnsafeRegister(static state => ((HttpContext)state!).Abort(), context);
        await write();
    }
}
