using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class RecordedHeadersTests
{
    private static readonly IdempotencyPolicy Policy = new() { Name = "test" };

    [Fact]
    public void MultipleValues_AreKeptApart_InOrder()
    {
        var headers = new HeaderDictionary { ["X-Multi"] = new(["b, c", "", "a"]), ["ETag"] = "\"1\"" };

        Assert.Equal(
            [new("X-Multi", "b, c"), new("X-Multi", ""), new("X-Multi", "a"), new("ETag", "\"1\"")],
            RecordedHeaders.Of(headers, Policy));
    }

    [Fact]
    public void AValueThatIsNull_IsEmpty() =>
        Assert.Equal([new("X-Null", "a"), new("X-Null", "")], RecordedHeaders.Of(new HeaderDictionary { ["X-Null"] = new(["a", null]) }, Policy));

    [Theory]
    [InlineData("Connection")]
    [InlineData("Keep-Alive")]
    [InlineData("TE")]
    [InlineData("Trailer")]
    [InlineData("Transfer-Encoding")]
    [InlineData("Upgrade")]
    [InlineData("Proxy-Authenticate")]
    [InlineData("proxy-anything")]
    [InlineData("Content-Length")]
    [InlineData("Idempotency-Status")]
    [InlineData("Set-Cookie")]
    [InlineData("www-authenticate")]
    public void FieldsOfOneExchange_AreNotRecorded(string name)
    {
        var headers = new HeaderDictionary { [name] = "1", ["X-End"] = "2" };

        Assert.Equal([new("X-End", "2")], RecordedHeaders.Of(headers, Policy));
    }

    [Fact]
    public void FieldsThatThePolicyDrops_AreNotRecorded_AndNoOthers()
    {
        var headers = new HeaderDictionary { ["X-Trace"] = "1", ["X-Other"] = "2", ["Set-Cookie"] = "a=1" };

        Assert.Equal([new("Set-Cookie", "a=1")], RecordedHeaders.Of(headers, Policy with { DropHeaders = ["x-trace", "x-other"] }));
    }

    [Theory]
    [InlineData("no-store", true)]
    [InlineData("private, NO-STORE, max-age=abc", true)]
    [InlineData("no-storefront", false)]
    [InlineData("no-cache", false)]
    public void NoStore_IsSeenWhateverStandsBesideIt(string value, bool isNoStore) =>
        Assert.Equal(isNoStore, RecordedHeaders.HasNoStore(new HeaderDictionary { ["Cache-Control"] = value }));

    [Fact]
    public void WithoutCacheControl_NothingIsForbidden() => Assert.False(RecordedHeaders.HasNoStore(new HeaderDictionary { ["Pragma"] = "no-store" }));
}
