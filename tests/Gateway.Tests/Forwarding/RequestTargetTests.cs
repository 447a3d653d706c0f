using Idempotency.Yarp.Forwarding;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Xunit;

namespace Gateway.Tests.Forwarding;

public sealed class RequestTargetTests
{
    [Theory]
    [InlineData("/")]
    [InlineData("//p")]
    [InlineData("/a%2Fb")]
    [InlineData("/a%20b%C3%A9")]
    [InlineData("/a?b=../c&d=/./e&f=%2e%2e")]
    [InlineData("/a.b/c..d")]
    [InlineData("/.well-known/a%2Fb")]
    [InlineData("/a/...")]
    [InlineData("/a;b=1,c'(d)")]
    [InlineData("/?")]
    public void APathWithoutDotSegments_IsPlain(string raw)
    {
        Assert.True(RequestTarget.IsPlain(raw));
        Assert.Equal(raw, RequestTarget.Of(ContextFor(raw, "/decoded", "?q")));
    }

    [Theory]
    [InlineData("/a/../p")]
    [InlineData("/./p")]
    [InlineData("/a/..")]
    [InlineData("/a/%2e%2e/p")]
    [InlineData("/a/.%2E/p")]
    [InlineData("/a/%2E")]
    [InlineData("/../p?x=1")]
    [InlineData("*")]
    [InlineData("")]
    [InlineData("http://host/p")]
    [InlineData("host:443")]
    public void WhatRoutingUnderstoodDifferently_IsNot(string raw)
    {
        Assert.False(RequestTarget.IsPlain(raw));
        Assert.Equal("/a%20b?q=1", RequestTarget.Of(ContextFor(raw, "/a b", "?q=1")));
    }

    private static DefaultHttpContext ContextFor(string raw, string path, string query)
    {
        var context = new DefaultHttpContext();
        context.Request.Path = path;
        context.Request.QueryString = new QueryString(query);
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = raw;
        return context;
    }
}
