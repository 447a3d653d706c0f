namespace Idempotency.Yarp.Forwarding;

/// <summary>What an answer to a probe says about the request that was asked about.</summary>
internal enum ProbeVerdict
{
    /// <summary>Nothing: no answer came, or one that says neither.</summary>
    Unclear,

    /// <summary>It was not executed.</summary>
    Absent,

    /// <summary>It was executed, and this is its answer.</summary>
    Found,
}
