namespace Gateway.Tests.Chaos;

/// <summary>What a client knows of its attempt when it is over.</summary>
internal enum Completion
{
    /// <summary>It has the answer of an execution, its own or an earlier one.</summary>
    Ok,

    /// <summary>The gateway says that this attempt was not executed.</summary>
    Fail,

    /// <summary>No answer, or one that leaves it open: it may have been executed, or may still be.</summary>
    Unknown,
}
