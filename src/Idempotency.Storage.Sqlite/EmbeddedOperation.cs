namespace Idempotency.Storage.Sqlite;

/// <summary>One store call waiting for its turn in the writer's next transaction.</summary>
/// <param name="run">What to do inside the transaction, given the store's time in milliseconds.</param>
/// <param name="expires">A timestamp after which the operation has no effect any more; its caller was told so.</param>
/// <param name="committed">Called on the writer's thread with the result, once it is safe; must not block.</param>
internal sealed class EmbeddedOperation<T>(Func<RecordTable, long, T> run, long expires, Action<T>? committed = null)
    : TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously), IEmbeddedOperation
{
    private T _result = default!;
    private Exception? _failure;

    public long Expires => expires;

    public void Run(RecordTable table, long now)
    {
        try
        {
            _result = run(table, now);
        }
        catch (RecordFormatException e)
        {
            _failure = new StoreUnavailableException($"a record in the embedded store cannot be read: {e.Message}", e);
        }
    }

    public void Committed()
    {
        if (_failure is null)
        {
            committed?.Invoke(_result);
            TrySetResult(_result);
        }
        else
        {
            TrySetException(_failure); // no effect when it was told already
        }
    }

    public void Failed(StoreUnavailableException exception)
    {
        _failure = exception;
        TrySetException(exception);
    }
}

/// <summary>What the writer needs to know of an operation; the result's type is the caller's business.</summary>
internal interface IEmbeddedOperation
{
    long Expires { get; }

    void Run(RecordTable table, long now);

    void Committed();

    void Failed(StoreUnavailableException exception);
}
