namespace Idempotency.Storage;

/// <summary>
/// The store gave no usable answer in time: down, overloaded, refusing writes, or answering nonsense. The one exception that stores
/// throw; callers fail closed.
/// </summary>
internal sealed class StoreUnavailableException : Exception
{
    public StoreUnavailableException(string message)
        : base(message)
    {
    }

    public StoreUnavailableException(string message, Exception inner)
        : base(message, inner)
    {
    }

    /// <summary>
    /// Whether the operation may have taken effect, or may still. False when it provably never will: not connected, queue full,
    /// refused by the server.
    /// </summary>
    public bool MayHaveTakenEffect { get; init; }
}
