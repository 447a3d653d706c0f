namespace Gateway.Tests.Chaos;

/// <summary>How the backend answers after it has executed a request.</summary>
internal enum ExecutionKind
{
    /// <summary>201, to be recorded and replayed.</summary>
    Created,

    /// <summary>500, which is recorded as well.</summary>
    Failed,

    /// <summary>201 with <c>no-store</c>: retries are told that it was executed.</summary>
    NotKept,

    /// <summary>503: the backend says that it did not execute anything, and the key is free again.</summary>
    Refused,

    /// <summary>The connection ends before the first byte of the answer.</summary>
    Cut,

    /// <summary>The connection ends within the body.</summary>
    HalfBody,
}
