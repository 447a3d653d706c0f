namespace Gateway.Tests.Demo;

/// <summary>What <c>/stats</c> says of the users.</summary>
internal sealed record UserCounts(int Users, int Duplicates, int Events, int Emails);
