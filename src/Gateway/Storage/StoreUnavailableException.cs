namespace Gateway.Storage;

/// <summary>
/// The store gave no usable answer in time: down, overloaded, refusing writes, or answering nonsense. Whether the operation took
/// effect is unknown. The one exception that stores throw; callers fail closed.
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
}
