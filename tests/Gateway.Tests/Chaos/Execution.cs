namespace Gateway.Tests.Chaos;

/// <summary>One line of the backend's ledger. Time is since the start of the run.</summary>
internal sealed record Execution(int Id, string Key, string Scope, string RequestBody, ExecutionKind Kind, byte[] Answer, TimeSpan At)
{
    /// <summary>Whether the backend stands by having done it; what it refused may come again.</summary>
    public bool Counts => Kind != ExecutionKind.Refused;

    /// <summary>Whether its answer, once seen by a client, must be given to every retry.</summary>
    public bool IsReplayable => Kind is ExecutionKind.Created or ExecutionKind.Failed;

    public int Status => Kind switch
    {
        ExecutionKind.Failed => 500,
        ExecutionKind.Refused => 503,
        _ => 201,
    };

    public bool IsOf(Operation operation) => Key == operation.Key && Scope == operation.Scope;

    public override string ToString() => $"backend execution {Id}, {Kind}, request {(RequestBody == "" ? "without a body" : RequestBody)}";
}
