namespace Idempotency.Storage;

/// <summary>
/// The store gave no usable answer in time: down, overloaded, refusing writes, or answering nonsense. The one exception that stores
/// throw; callers fail closed.
/// </summary>
public sealed class StoreUnavailableException : Exception
{
    /// <summary>One that has no exception as its cause.</summary>
    /// <param name="message">For logs: what is wrong, without credentials, keys and ids.</param>
    public StoreUnavailableException(string message)
        : base(message)
    {
    }

    /// <summary>One that another exception caused.</summary>
    /// <param name="message">For logs: what is wrong, without credentials, keys and ids.</param>
    /// <param name="inner">The cause.</param>
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
