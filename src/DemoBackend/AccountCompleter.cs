namespace DemoBackend;

/// <summary>Seed 002's draining job: finishes what was begun, also when no client ever comes back for it.</summary>
internal sealed class AccountCompleter(
    DemoSettings settings, IdempotencyKeys keys, AccountWalk walk, TimeProvider time, ILogger<AccountCompleter> logger)
    : BackgroundJob(settings.CompleterInterval, time, logger)
{
    // A key that fails was touched when its walk began, so that the rounds of one call come to an end.
    protected override async Task WorkAsync()
    {
        while (await keys.FindAbandonedAsync(settings.CompleterAfter) is { } key)
            await walk.WalkAsync(key, ForeignFaults.None);
    }
}
