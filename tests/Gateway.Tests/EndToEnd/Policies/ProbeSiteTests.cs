using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>A probe reaches the site that its request reached, by whatever the route chooses a site.</summary>
public sealed class ProbeSiteTests(ProbeSites sites) : IClassFixture<ProbeSites>
{
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [MemberData(nameof(ProbeSites.Ways), MemberType = typeof(ProbeSites))]
    public async Task ThreeTries_AreOneExecution(string way)
    {
        var first = await sites.PayAsync(way, _key);
        var second = await PayUntilSettledAsync(way);
        var third = await PayUntilSettledAsync(way);

        var payment = Assert.Single(sites.Payments(_key));
        Assert.NotEmpty(sites.Questions(_key));
        Assert.All(sites.Questions(_key), question => Assert.Equal(ProbeSites.SiteOf(payment), ProbeSites.SiteOf(question)));
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.All([second, third], answer => Assert.Equal((200, true, $$"""{"reference":"{{_key}}"}"""), (answer.Status, answer.IsReplay, answer.Text)));
    }

    [Theory]
    [MemberData(nameof(ProbeSites.Ways), MemberType = typeof(ProbeSites))]
    public async Task TheSweeper_AsksAtTheSameSite_WithoutTheRequest(string way)
    {
        Expect.Problem(502, "outcome-uncertain", await sites.PayAsync(way, _key));

        await Eventually.TrueAsync(() => sites.Questions(_key).Count > 0, "the sweeper asks");

        Assert.Equal(ProbeSites.SiteOf(sites.Payments(_key).Single()), ProbeSites.SiteOf(sites.Questions(_key)[0]));
        Assert.True((await PayUntilSettledAsync(way)).IsReplay);
        Assert.Single(sites.Payments(_key));
    }

    /// <summary>The sweeper may be at the same key, a moment before the retry: then the retry is told to come back.</summary>
    private async Task<Answer> PayUntilSettledAsync(string way)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await sites.PayAsync(way, _key)).ProblemType != "in-progress", "settled");
        return answer!;
    }
}
