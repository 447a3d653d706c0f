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
