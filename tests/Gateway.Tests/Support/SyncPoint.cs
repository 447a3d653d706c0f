namespace Gateway.Tests.Support;

/// <summary>
/// A place where work waits until the test lets it go on, so that a test says "while the first request is running"
/// instead of sleeping and hoping. Once released it stays open; disposing releases.
/// </summary>
public sealed class SyncPoint : IDisposable
{
    // Continuations run elsewhere, so that the test's thread is not borrowed for the work that it sets free.
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool IsReleased => _released.Task.IsCompleted;

    /// <summary>Completes when the test calls <see cref="Release"/>.</summary>
    public Task Released => _released.Task;

    public void Release() => _released.TrySetResult();

    public void Dispose() => Release();
}
