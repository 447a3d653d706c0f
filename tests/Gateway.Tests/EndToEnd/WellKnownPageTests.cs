using System.Text.Json;
using Gateway.Tests.Support;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>The published specification: every guarded route and every problem type, for people and for programs.</summary>
public sealed class WellKnownPageTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private static readonly string[] GuardedPaths =
        ["/{**rest}", "/impatient/{**rest}", "/optional/{**rest}", "/raw-small/{**rest}", "/raw/{**rest}", "/small/{**rest}"];

    [Theory]
    [InlineData(null)]
    [InlineData("*/*")]
    [InlineData("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]
    public async Task PeopleGetHtml_WithAnAnchorForEveryProblem(string? accept)
    {
        var page = await GetAsync(accept);

        Assert.Equal((200, "text/html; charset=utf-8"), (page.Status, page.Header("Content-Type")));
        Assert.All(Problem.All, problem => Assert.Contains($"id=\"{problem.Slug}\"", page.Text, StringComparison.Ordinal));
        Assert.All(Problem.All, problem => Assert.EndsWith($"#{problem.Slug}", problem.Type, StringComparison.Ordinal));
        Assert.All(GuardedPaths, path => Assert.Contains($"<code>{path}</code>", page.Text, StringComparison.Ordinal));
        Assert.DoesNotContain("/plain/", page.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("{{", page.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ProgramsGetJson()
    {
        var page = await GetAsync("application/json");

        var json = JsonElement.Parse(page.Body);
        var routes = json.GetProperty("routes").EnumerateArray().ToDictionary(route => route.GetProperty("path").GetString()!);
        Assert.StartsWith("application/json", page.Header("Content-Type"), StringComparison.Ordinal);
        Assert.Equal(GuardedPaths.Order(StringComparer.Ordinal), routes.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(
            Problem.All.Select(problem => problem.Type),
            json.GetProperty("problems").EnumerateArray().Select(problem => problem.GetProperty("type").GetString()));
        var small = routes["/small/{**rest}"];
        Assert.Equal(EmbeddedGateway.SmallLimit, small.GetProperty("maxRequestBodyBytes").GetInt32());
        Assert.Equal(("Required", "1.00:00:00"), (small.GetProperty("mode").GetString(), small.GetProperty("retention").GetString()));
    }

    private async Task<Answer> GetAsync(string? accept)
    {
        KeyValuePair<string, string>[] headers = accept is null ? [] : [KeyValuePair.Create("Accept", accept)];
        var answer = await KeyedRequests.SendAsync(gateway.Client, HttpMethod.Get, gateway.Url + WellKnownPage.Path, null, [], headers);
        Assert.Empty(gateway.ArrivalsAt(WellKnownPage.Path));
        return answer;
    }
}
