namespace Idempotency.Storage;

/// <summary>
/// Bounds the calls to a server, in number and in time: clients queue without end and look at their own time limits when it suits them, and a slow
/// server must neither fill the memory with waiting requests nor keep one waiting for longer than the store's timeout.
/// </summary>
/// <param name="server">For people: <c>Redis</c>.</param>
/// <param name="time">Local time.</param>
/// <param name="maxOutstanding">Calls beyond this many fail at once.</param>
internal sealed class StoreCalls(string server, TimeProvider time, int maxOutstanding = 10_000)
{
    private int _outstanding;

    /// <summary>Makes one call. One that is given up counts until the client is done with it.</summary>
    /// <param name="begin">Hands the call to the client.</param>
    /// <param name="timeout">For the whole call; nothing is waited for when none is left.</param>
    /// <param name="cancellationToken">Ends the wait, not the call.</param>
    /// <exception cref="StoreUnavailableException">Too many calls are under way; nothing was handed to the client.</exception>
    /// <exception cref="TimeoutException">No answer in time.</exception>
    public async Task<T> RunAsync<T>(Func<Task<T>> begin, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _outstanding) > maxOutstanding)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new StoreUnavailableException($"more than {maxOutstanding} calls to {server} are under way");
        }

        Task<T>? underWay = null;
        try
        {
            underWay = begin();
            return await underWay.WaitAsync(timeout > TimeSpan.Zero ? timeout : TimeSpan.Zero, time, cancellationToken);
        }
        finally
        {
            if (underWay is { IsCompleted: false })
            {
                _ = underWay.ContinueWith(
                    abandoned => Interlocked.Decrement(ref _outstanding), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
            else
            {
                Interlocked.Decrement(ref _outstanding);
            }
        }
    }
}
