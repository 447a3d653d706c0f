namespace DemoBackend;

/// <summary>Seed 002: how far a key's request has come, each reached by one atomic phase.</summary>
internal static class RecoveryPoint
{
    public const string Started = "started";
    public const string AccountCreated = "account_created";
    public const string DepositCreated = "deposit_created";
    public const string Finished = "finished";
}
