using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// The lines of requests that wait for locks, at this instance. Only the first of a line asks the store for its lock, so that a lock which is freed
/// wakes one request of each instance, not all of them.
/// </summary>
internal sealed class LockLines(LimitSettings limits, Drain drain, TimeProvider time)
{
    private readonly Dictionary<RecordId, LinkedList<TaskCompletionSource>> _lines = [];
    private readonly Lock _lock = new();
    private int _waiting;

    /// <summary>Whether nobody waits for it here.</summary>
    public bool IsEmpty(RecordId id)
    {
        lock (_lock)
        {
            return !_lines.ContainsKey(id);
        }
    }

    /// <summary>Waits to be the first.</summary>
    /// <param name="id">The lock.</param>
    /// <param name="max">How many may wait for it here.</param>
    /// <param name="atMost">How long.</param>
    /// <param name="cancellationToken">The client is gone.</param>
    /// <returns>The first place, until disposal; null when there is no room, time is up, or the process ends.</returns>
    /// <exception cref="OperationCanceledException">The client is gone.</exception>
    public async Task<IDisposable?> JoinAsync(RecordId id, int max, TimeSpan atMost, CancellationToken cancellationToken)
    {
        var me = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            var line = _lines.GetValueOrDefault(id) ?? [];
            if (line.Count >= max || _waiting >= limits.MaxWaiters)
            {
                return null;
            }

            _waiting++;
            line.AddLast(me);
            _lines[id] = line;
            CallFirst(line);
        }

        var place = new Place(this, id, me);
        try
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, drain.GiveUp);
            await me.Task.WaitAsync(atMost, time, end.Token);
            return place;
        }
        catch (Exception e) when (e is TimeoutException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            place.Dispose();
            return null;
        }
        catch
        {
            place.Dispose();
            throw;
        }
    }

    private static void CallFirst(LinkedList<TaskCompletionSource> line) => line.First!.Value.TrySetResult();

    private void Leave(RecordId id, TaskCompletionSource me)
    {
        lock (_lock)
        {
            if (!_lines.TryGetValue(id, out var line) || !line.Remove(me))
            {
                return;
            }

            _waiting--;
            if (line.Count == 0)
            {
                _lines.Remove(id);
            }
            else
            {
                CallFirst(line);
            }
        }
    }

    private sealed class Place(LockLines lines, RecordId id, TaskCompletionSource me) : IDisposable
    {
        public void Dispose() => lines.Leave(id, me);
    }
}
