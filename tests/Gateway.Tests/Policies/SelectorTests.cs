using Idempotency.Yarp.Policies;
using Xunit;

namespace Gateway.Tests.Policies;

public sealed class SelectorTests
{
    [Theory]
    [InlineData("header:Idempotency-Key", "Header", "Idempotency-Key")]
    [InlineData("HEADER:x", "Header", "x")]
    [InlineData("query:key", "Query", "key")]
    [InlineData("query:a:b", "Query", "a:b")]
    [InlineData("route:seat", "Route", "seat")]
    [InlineData("body:/order/id", "Body", "/order/id")]
    [InlineData("body:", "Body", "")]
    [InlineData("form:id", "Form", "id")]
    [InlineData("claim:http://schemas.example/tenant", "Claim", "http://schemas.example/tenant")]
    [InlineData("cookie:session", "Cookie", "session")]
    [InlineData("Client-IP", "ClientIp", "")]
    [InlineData("client-certificate", "ClientCertificate", "")]
    [InlineData("Credentials", "Credentials", "")]
    public void ASelector_IsAKindAndAName(string text, string kind, string name)
    {
        var selector = Selector.Parse(text, out _)!;

        Assert.Equal((kind, name), (selector.Kind.ToString(), selector.Name));
        Assert.Equal(text, selector.ToString(), ignoreCase: true);
        Assert.Equal(selector.ToString(), Selector.Parse(selector.ToString(), out _)?.ToString());
        Assert.Equal(kind is "Body" or "Form", selector.ReadsBody);
    }

    [Fact]
    public void TheFieldsOfCredentials_AreTheUsualOnes_AndNothingElseIs()
    {
        Assert.Equal(["header:Authorization", "header:X-Api-Key", "header:Api-Key"], Selector.CredentialFields.Select(selector => selector.ToString()));
        Assert.Equal((SelectorKind.Credentials, ""), (Selector.Credentials.Kind, Selector.Credentials.Name));
        Assert.Equal((SelectorKind.ClientCertificate, ""), (Selector.ClientCertificate.Kind, Selector.ClientCertificate.Name));
    }

    [Fact]
    public void AField_IsTheOneOfThatName_InAnyCase()
    {
        Assert.True(Selector.Header("X-Key").IsField("x-key"));
        Assert.False(Selector.Header("X-Key").IsField("X-Other"));
        Assert.False(Selector.Parse("query:X-Key", out _)!.IsField("X-Key"));
    }

    [Theory]
    [InlineData("body:/a~1b/0", "a/b", "0")]
    [InlineData("body:")]
    [InlineData("query:/a")]
    public void OnlyABodySelector_HasAPointer(string text, params string[] tokens) => Assert.Equal(tokens, Selector.Parse(text, out _)!.Pointer);

    [Theory]
    [InlineData("", Selector.Grammar)]
    [InlineData("global", Selector.Grammar)]
    [InlineData("Idempotency-Key", Selector.Grammar)]
    [InlineData("credentials:", Selector.Grammar)]
    [InlineData("cookie:", "cookie:NAME with the name of a cookie")]
    [InlineData("cookie:a=b", "cookie:NAME with the name of a cookie")]
    [InlineData(" header:X", Selector.Grammar)]
    [InlineData("client-ip:", Selector.Grammar)]
    [InlineData("header:", "header:NAME with the name of a header field")]
    [InlineData("header:two words", "header:NAME with the name of a header field")]
    [InlineData("query:", "query: with a name")]
    [InlineData("route:", "route: with a name")]
    [InlineData("form:", "form: with a name")]
    [InlineData("claim:", "claim: with a name")]
    [InlineData("body:url", "body: with a JSON pointer (RFC 6901) such as body:/order/id")]
    [InlineData("body:/a~2", "body: with a JSON pointer (RFC 6901) such as body:/order/id")]
    public void WhatIsNoSelector_IsToldWhatWasExpected(string text, string expected)
    {
        Assert.Null(Selector.Parse(text, out var told));
        Assert.Equal(expected, told);
    }
}
