namespace DemoBackend;

/// <summary>
/// Work that is looked for again and again. It may die anywhere and may run in several processes at once: what it does is re-entrant,
/// and what is still to be done stands in the database.
/// </summary>
internal abstract class BackgroundJob(TimeSpan interval, TimeProvider time, ILogger logger) : BackgroundService
{
    protected abstract Task WorkAsync();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (interval > TimeSpan.Zero && !stoppingToken.IsCancellationRequested)
        {
            try
            {
                await WorkAsync();
            }
            catch (Exception e)
            {
                // A database or a foreign system that is away, a transaction that lost against another one: the next round finds the same work.
                Log.JobFailed(logger, GetType().Name, e.Message);
            }
            await Task.Delay(interval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
