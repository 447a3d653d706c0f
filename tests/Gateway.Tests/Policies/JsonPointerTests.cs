using System.Text.Json;
using Idempotency.Yarp.Policies;
using Xunit;

namespace Gateway.Tests.Policies;

/// <summary>RFC 6901, with the examples of its section 5.</summary>
public sealed class JsonPointerTests
{
    private const string Document = """
        { "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8, "~1": 9 }
        """;

    [Theory]
    [InlineData("/foo/0", "\"bar\"")]
    [InlineData("/foo/1", "\"baz\"")]
    [InlineData("/", "0")]
    [InlineData("/a~1b", "1")]
    [InlineData("/c%d", "2")]
    [InlineData("/e^f", "3")]
    [InlineData("/g|h", "4")]
    [InlineData("/i\\j", "5")]
    [InlineData("/k\"l", "6")]
    [InlineData("/ ", "7")]
    [InlineData("/m~0n", "8")]
    [InlineData("/~01", "9")]
    public void APointer_FindsItsPlace(string place, string expected)
    {
        Assert.True(JsonPointer.TryFind(JsonElement.Parse(Document), JsonPointer.Parse(place)!, out var found));
        Assert.Equal(expected, found.GetRawText());
    }

    [Fact]
    public void TheEmptyPointer_IsTheWholeDocument()
    {
        Assert.True(JsonPointer.TryFind(JsonElement.Parse(Document), JsonPointer.Parse("")!, out var found));
        Assert.Equal(JsonValueKind.Object, found.ValueKind);
    }

    [Theory]
    [InlineData("/bar")]
    [InlineData("/FOO")]
    [InlineData("/foo/2")]
    [InlineData("/foo/-")]
    [InlineData("/foo/-1")]
    [InlineData("/foo/00")]
    [InlineData("/foo/01")]
    [InlineData("/foo/+1")]
    [InlineData("/foo/ 1")]
    [InlineData("/foo/99999999999")]
    [InlineData("/foo/0/x")]
    [InlineData("//x")]
    public void WhereNothingIs_NothingIsFound(string place) =>
        Assert.False(JsonPointer.TryFind(JsonElement.Parse(Document), JsonPointer.Parse(place)!, out _));

    [Theory]
    [InlineData("foo")]
    [InlineData("#/foo")]
    [InlineData("/~")]
    [InlineData("/a~2b")]
    [InlineData("/a~")]
    [InlineData("/a~~01")]
    [InlineData("/a~~10")]
    public void WhatIsNoPointer_IsRefused(string text) => Assert.Null(JsonPointer.Parse(text));
}
