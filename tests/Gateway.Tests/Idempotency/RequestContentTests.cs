using System.Text;
using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>What is found in bodies, and what counts as not understood.</summary>
public sealed class RequestContentTests
{
    private const string UrlEncoded = "application/x-www-form-urlencoded";

    [Theory]
    [InlineData("""{"id":"a"}""", "/id", "a")]
    [InlineData("""{"id":"a\u0062\n"}""", "/id", "ab\n")]
    [InlineData("""{"id":1.0}""", "/id", "1")]
    [InlineData("""{"id":9007199254740993}""", "/id", "9007199254740993")]
    [InlineData("""{"id":true}""", "/id", "true")]
    [InlineData("""{"id":""}""", "/id", "")]
    [InlineData("""{"a":[{"b/c":"x"}]}""", "/a/0/b~1c", "x")]
    [InlineData("""{"\u0069d":"a"}""", "/id", "a")]
    [InlineData("\"a\"", "", "a")]
    [InlineData("{\"id\":\"\u00e9\"}", "/id", "\u00e9")]
    public async Task AScalar_IsFound_AsText(string json, string place, string expected)
    {
        using var content = await RequestContent.ParseAsync("application/json", Encoding.UTF8.GetBytes(json));

        Assert.True(content.TryFind(JsonPointer.Parse(place)!, out var value, out var isText));
        Assert.Equal((expected, true), (value, isText));
    }

    [Theory]
    [InlineData("""{"id":{}}""")]
    [InlineData("""{"id":["a"]}""")]
    public async Task AnObjectOrAList_IsFound_ButIsNoText(string json)
    {
        using var content = await RequestContent.ParseAsync("application/json", Encoding.UTF8.GetBytes(json));

        Assert.True(content.TryFind(["id"], out _, out var isText));
        Assert.False(isText);
    }

    public static TheoryData<string> NothingInThem =>
    [
        """{"id":null}""", """{"ID":"a"}""", "{}", "[]", "", "id=a", "{\"id\":\"a\"", "{\"id\":\"a\"} x", "{\"id\":'a'}", "\ufeff{\"id\":\"a\"}",
        """{"id":"a","id":"a"}""", """{"id":"a","\u0069d":"b"}""", """{"id":"a","x":{"y":1,"y":2}}""",
        """{"id":"\ud800"}""", """{"\ud800":1,"\udc00":2,"\u0069x":3}""", $$"""{"id":"a","deep":{{new string('[', 64)}}{{new string(']', 64)}}}""",
    ];

    [Theory]
    [MemberData(nameof(NothingInThem))]
    public async Task WhatParsersReadDifferently_IsNotFound(string body)
    {
        using var content = await RequestContent.ParseAsync("application/json", Encoding.UTF8.GetBytes(body));

        Assert.False(content.TryFind(["id"], out var value, out _));
        Assert.Null(value);
    }

    [Theory]
    [InlineData("{\"id\":\"\u00e9\"}")] // in Latin-1
    [InlineData("{\"\u00e9\":1,\"\u00e8\":1}")]
    [InlineData("""{"x":"\ud800"}""")]
    [InlineData("""{"\udc00":1}""")]
    [InlineData("""{"x":1,"x":1}""")]
    [InlineData("not json")]
    [InlineData("")]
    public async Task WhatParsersReadDifferently_HasNoDigest(string body)
    {
        using var content = await RequestContent.ParseAsync("application/json", Encoding.Latin1.GetBytes(body));

        Assert.Null(await content.JsonDigestAsync([]));
        Assert.False(content.TryFind(["id"], out _, out _));
    }

    [Fact]
    public async Task NestingOf64_IsUnderstood()
    {
        using var content = await RequestContent.ParseAsync(null, Encoding.UTF8.GetBytes(new string('[', 64) + new string(']', 64)));

        Assert.NotNull(await content.JsonDigestAsync([]));
    }

    [Theory]
    [InlineData("id=a%20b+c", "a b c")]
    [InlineData("x=1&ID=%C3%A9", "\u00e9")]
    [InlineData("id=", "")]
    [InlineData("id=a&x=b&Id=c", "a|c")]
    [InlineData("?id=a", null)]
    [InlineData("x=id", null)]
    [InlineData("", null)]
    public async Task AUrlEncodedForm_HasItsFields(string body, string? expected)
    {
        using var content = await RequestContent.ParseAsync($"{UrlEncoded}; charset=utf-8", Encoding.UTF8.GetBytes(body));

        Assert.Equal(expected, content.FormValues("id") is { Count: > 0 } values ? string.Join('|', values.ToArray()) : null);
        Assert.Null(await content.JsonDigestAsync([]));
    }

    [Fact]
    public async Task AFormOfTooManyFields_HasNone()
    {
        using var content = await RequestContent.ParseAsync(UrlEncoded, Encoding.UTF8.GetBytes("id=a&" + string.Join('&', Enumerable.Repeat("x=1", 1024))));

        Assert.Equal(0, content.FormValues("id").Count);
    }
}
