namespace Idempotency.Storage.Redis;

/// <summary>One round after another, each for all who came while the one before it ran: however many wait, one wait is under way.</summary>
internal sealed class RedisRounds
{
    private readonly Lock _lock = new();
    private TaskCompletionSource<bool>? _next;
    private bool _isRunning;

    /// <summary>Joins the next round that begins.</summary>
    /// <param name="round">One round; must not throw.</param>
    /// <returns>What the round returned.</returns>
    public Task<bool> JoinAsync(Func<Task<bool>> round)
    {
        lock (_lock)
        {
            _next ??= new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            var joined = _next.Task;
            if (!_isRunning)
            {
                _isRunning = true;
                _ = Task.Run(() => RunAsync(round));
            }

            return joined;
        }
    }

    private async Task RunAsync(Func<Task<bool>> round)
    {
        while (true)
        {
            TaskCompletionSource<bool> waiting;
            lock (_lock)
            {
                if (_next is null)
                {
                    _isRunning = false;
                    return;
                }

                (waiting, _next) = (_next, null);
            }

            waiting.SetResult(await round());
        }
    }
}
