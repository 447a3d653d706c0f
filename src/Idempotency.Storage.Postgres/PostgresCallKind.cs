namespace Idempotency.Storage.Postgres;

/// <summary>What a call is for: whether it must wait until lost writes are put back, and whether its failure says something about requests.</summary>
internal enum PostgresCallKind
{
    /// <summary>Only while the server is known to have kept what it acknowledged.</summary>
    Claim,

    /// <summary>Of an owner, who compares tokens and puts back what was lost; and whatever only reads.</summary>
    Owner,

    /// <summary>Nobody waits for it. As <see cref="Owner"/>, but neither its failure nor its success is reported.</summary>
    Background,
}
