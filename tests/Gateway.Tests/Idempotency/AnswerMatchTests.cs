using System.Text;
using Idempotency.Yarp;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>An answer counts as found only if the policy can tell it from a page that anybody gets.</summary>
public sealed class AnswerMatchTests
{
    private const string Json = "application/json";

    [Theory]
    [InlineData(200, nameof(ProbeVerdict.Found))]
    [InlineData(404, nameof(ProbeVerdict.Absent))]
    [InlineData(302, nameof(ProbeVerdict.Unclear))]
    [InlineData(500, nameof(ProbeVerdict.Unclear))]
    public void WithoutMatch_TheStatusCounts(int status, string verdict) => Assert.Equal(verdict, Judge(null, AnswerOf("welcome", "text/html", status)).ToString());

    [Theory]
    [InlineData(Json, nameof(ProbeVerdict.Found))]
    [InlineData("Application/JSON", nameof(ProbeVerdict.Found))]
    [InlineData("text/html", nameof(ProbeVerdict.Unclear))]
    [InlineData("application/problem+json", nameof(ProbeVerdict.Unclear))]
    [InlineData(null, nameof(ProbeVerdict.Unclear))]
    public void TheMediaType_MustBeTheOneExpected(string? mediaType, string verdict) =>
        Assert.Equal(verdict, Judge(new ProbeMatch(Json, []), AnswerOf("{}", mediaType)).ToString());

    [Fact]
    public void AnAbsentStatus_NeedsNoMatch() => Assert.Equal(ProbeVerdict.Absent, Judge(new ProbeMatch(Json, []), AnswerOf("", null, 404)));

    [Theory]
    [InlineData("""{"ref":"k 1"}""", "k 1", nameof(ProbeVerdict.Found))]
    [InlineData("""{"ref":"k\u00201"}""", "k 1", nameof(ProbeVerdict.Found))]
    [InlineData("""{"ref":"K 1"}""", "k 1", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":7.50}""", "7.5", nameof(ProbeVerdict.Found))]
    [InlineData("""{"ref":7.5}""", "75e-1", nameof(ProbeVerdict.Found))]
    [InlineData("""{"ref":"7.50"}""", "7.5", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":7}""", "seven", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":true}""", "true", nameof(ProbeVerdict.Found))]
    [InlineData("""{"ref":null}""", "null", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":["k"]}""", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":"k","ref":"other"}""", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"other":"k"}""", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("""[]""", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":"k" """, "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("""{"ref":"\ud800"}""", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("<html>k</html>", "k", nameof(ProbeVerdict.Unclear))]
    [InlineData("", "k", nameof(ProbeVerdict.Unclear))]
    public void WhatStandsAtThePointer_MustBeTheText(string body, string text, string verdict) =>
        Assert.Equal(verdict, Judge(new ProbeMatch(null, [new("/ref", Any)]), AnswerOf(body, Json), new KeyValuePair<string, string>("/ref", text)).ToString());

    [Fact]
    public void EveryPointer_Counts()
    {
        var match = new ProbeMatch(Json, [new("/items/0/ref", Any), new("/state", Any)]);
        KeyValuePair<string, string>[] expected = [new("/items/0/ref", "k"), new("/state", "paid")];

        Assert.Equal(ProbeVerdict.Found, Judge(match, AnswerOf("""{"items":[{"ref":"k"}],"state":"paid"}""", Json), expected));
        Assert.Equal(ProbeVerdict.Unclear, Judge(match, AnswerOf("""{"items":[{"ref":"k"}],"state":"new"}""", Json), expected));
        Assert.Equal(ProbeVerdict.Unclear, Judge(match, AnswerOf("""{"items":[],"state":"paid"}""", Json), expected));
        Assert.Equal(ProbeVerdict.Unclear, Judge(match, AnswerOf("""{"items":[{"ref":"k"}],"state":"paid"}""", "text/json"), expected));
    }

    [Fact]
    public void ABodyThatIsTooLargeToLookInto_IsNotFound()
    {
        var answer = AnswerOf("", Json) with { Body = null };

        Assert.Equal(ProbeVerdict.Unclear, Judge(new ProbeMatch(null, [new("/ref", Any)]), answer, new KeyValuePair<string, string>("/ref", "k")));
        Assert.Equal(ProbeVerdict.Found, Judge(new ProbeMatch(Json, []), answer));
    }

    [Fact]
    public void APolicyThatKeepsNoBodies_StillLooksIntoAnswers()
    {
        var policy = new IdempotencyPolicy { Name = "p", MaxAnswerBytes = 0, Probe = PolicyOf(new ProbeMatch(null, [new("/ref", Any)])) };

        Assert.Equal(1024 * 1024, AnswerMatch.MaxBytes(policy));
        Assert.Equal(0, AnswerMatch.MaxBytes(policy with { Probe = PolicyOf(new ProbeMatch(Json, [])) }));
    }

    private static ProbeTemplate Any { get; } = ProbeTemplate.ParseText("{key}", out _)!;

    private static ProbeVerdict Judge(ProbeMatch? match, ProbeAnswer answer, params KeyValuePair<string, string>[] expected) =>
        AnswerMatch.Judge(PolicyOf(match), new ProbeQuestion("p", new ProbeRequest(new ProbeOrigin("r", "c", "http", "", null, [], []), "/", false, []), expected), answer);

    private static ProbePolicy PolicyOf(ProbeMatch? match) => new(ProbeTemplate.Root, [], [200], [404]) { Match = match, AbsentAfter = TimeSpan.Zero };

    private static ProbeAnswer AnswerOf(string body, string? mediaType, int status = 200) => new(status, mediaType, new HeaderDictionary(), Encoding.UTF8.GetBytes(body), new ForwardTrace());
}
