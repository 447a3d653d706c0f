namespace DemoBackend;

/// <summary>A foreign system failed, or nobody knows whether it did: there was no answer.</summary>
internal sealed class ForeignSystemException(string message, Exception inner) : Exception(message, inner);
