namespace Gateway.Tests.Demo;

/// <summary>What <c>/stats</c> says of the accounts.</summary>
internal sealed record AccountCounts(int Accounts, int CoreAccounts, int Deposits, int RegistryEntries, int Duplicates, int Unfinished)
{
    public static readonly AccountCounts None = new(0, 0, 0, 0, 0, 0);

    /// <summary>So many accounts, each with one of everything.</summary>
    public static AccountCounts Each(int accounts) => new(accounts, accounts, accounts, accounts, 0, 0);
}
