using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>What a client is told of a key whose request was not sent.</summary>
public sealed class RefusalTests
{
    private static readonly IdempotencyPolicy Policy = new() { Name = "p" };

    [Theory]
    [InlineData("Free", "backend-unreachable")]
    [InlineData("FreeLater", "store-unavailable")] // nobody has confirmed that it is free
    [InlineData("Uncertain", "outcome-uncertain")]
    [InlineData("Taken", "in-progress")]
    public void OnlyAKeyThatIsFree_IsSaidToBe(string key, string problem)
    {
        var refusal = new Decision.Refuse(Problem.BackendUnreachable).GivenKey(Enum.Parse<ReleasedKey>(key), Policy);

        Assert.Equal(problem, refusal.Problem.Slug);
        Assert.Equal(key == "Free", (refusal.Detail ?? refusal.Problem.Advice).Contains("the key is free", StringComparison.Ordinal));
        Assert.Equal(key is "FreeLater" or "Taken", refusal.RetryAfter is not null);
    }
}
