using System.Collections.Concurrent;

namespace Idempotency.Yarp;

/// <summary>
/// One thread for all large bodies that are looked into, one after the other. The parser's tables are pooled by thread, and a pool keeps what it
/// was given: on the threads of all requests, each would keep tables of megabytes.
/// </summary>
internal static class LargeBodies
{
    /// <summary>In bytes: what is smaller is looked into where it is.</summary>
    private const int Size = 128 * 1024;

    private static readonly BlockingCollection<Action> Work = Start();

    public static bool IsLarge(int bytes) => bytes > Size;

    /// <summary>Runs it on that thread; what it throws is thrown to the caller.</summary>
    public static Task<T> RunAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Work.Add(() =>
        {
            try
            {
                done.SetResult(work());
            }
#pragma warning disable CA1031 // it is the caller's
            catch (Exception e)
#pragma warning restore CA1031
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Disposes it on that thread, some time.</summary>
    public static void Dispose(IDisposable what) => Work.Add(what.Dispose);

    private static BlockingCollection<Action> Start()
    {
        BlockingCollection<Action> work = [];
        var thread = new Thread(() =>
        {
            foreach (var action in work.GetConsumingEnumerable())
            {
                action();
            }
        })
        {
            IsBackground = true,
            Name = "Large bodies",
        };
        thread.Start();
        return work;
    }
}
