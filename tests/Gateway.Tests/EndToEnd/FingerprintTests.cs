using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What makes a retry the same request, by policy.</summary>
public sealed class FingerprintTests(PolicyGateway gateway) : IClassFixture<PolicyGateway>
{
    private const string Order = """{"amount":10.5,"items":[{"sku":"a","at":1},{"sku":"b","at":1}],"sentAt":"09:00"}""";

    private readonly string _key = Guid.NewGuid().ToString();

    public static TheoryData<string, string> SameOrders => new()
    {
        { "order of members", """{"sentAt":"09:00","items":[{"at":1,"sku":"a"},{"sku":"b","at":1}],"amount":10.5}""" },
        { "white space, numbers, escapes", """ { "amount": 105e-1, "items": [ {"sku":"\u0061","at":1.0},{"sku":"b","at":1}], "sentAt":"09:00" } """ },
        { "what is ignored", """{"amount":10.5,"items":[{"sku":"a","at":2},{"sku":"b","at":1}],"sentAt":"10:00"}""" },
        { "what is ignored, left out", """{"amount":10.5,"items":[{"sku":"a"},{"sku":"b","at":1}]}""" },
    };

    public static TheoryData<string, string> OtherOrders => new()
    {
        { "amount", Order.Replace("10.5", "10.51", StringComparison.Ordinal) },
        { "amount as text", Order.Replace("10.5", "\"10.5\"", StringComparison.Ordinal) },
        { "order of items", """{"amount":10.5,"items":[{"sku":"b","at":1},{"sku":"a","at":1}],"sentAt":"09:00"}""" },
        { "beside what is ignored", """{"amount":10.5,"items":[{"sku":"a","at":1},{"sku":"b","at":2}],"sentAt":"09:00"}""" },
        { "a member more", Order.Replace("{\"amount", "{\"x\":null,\"amount", StringComparison.Ordinal) },
        { "no JSON", Order[..^1] },
    };

    /// <summary>Through another name or port of the same service, as after a failover.</summary>
    [Fact]
    public async Task AnotherHost_IsNoOtherRequest_WhereNothingIsDecidedByIt()
    {
        var path = PolicyGateway.NewPath("default-key");

        var first = await gateway.PostAsync(path, _key, "{}", ("Host", "API.Example.com"));
        var retries = await Task.WhenAll(
            ((string[])["api.example.com", "api.example.com:80", "b.example.com:8080", "10.1.2.3"]).Select(host => gateway.PostAsync(path, _key, "{}", ("Host", host))));

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.All(retries, retry => Expect.Replay(first, retry));
    }

    [Fact]
    public async Task AnotherHost_IsAnotherRequest_WhereTheBackendSeesIt()
    {
        var path = PolicyGateway.NewPath("original-host");

        var first = await gateway.PostAsync(path, _key, "{}", ("Host", "API.Example.com"));
        var retry = await gateway.PostAsync(path, _key, "{}", ("Host", "api.example.com:80"));
        var other = await gateway.PostAsync(path, _key, "{}", ("Host", "b.example.com"));

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
        Assert.Contains("What differs: host.", other.Text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(SameOrders))]
    public async Task TheSameJson_OtherwiseWritten_Replays(string what, string body)
    {
        var path = PolicyGateway.NewPath("json");

        var first = await gateway.PostAsync(path, _key, Order);
        var retry = await gateway.PostAsync(path, _key, body);

        Assert.True(gateway.ArrivalsAt(path).Count == 1, what);
        Expect.Replay(first, retry);
    }

    [Theory]
    [MemberData(nameof(OtherOrders))]
    public async Task AnotherJson_IsAnotherRequest(string what, string body)
    {
        var path = PolicyGateway.NewPath("json");

        var first = await gateway.PostAsync(path, _key, Order);
        var other = await gateway.PostAsync(path, _key, body);

        Assert.True(gateway.ArrivalsAt(path).Count == 1, what);
        Assert.Equal(201, first.Status);
        Expect.Problem(422, "key-reused", other);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("""{"id":1,"id":2}""")]
    [InlineData("""{"id":"\ud800"}""")]
    [InlineData("""{"\ud800":1}""")]
    [InlineData("")]
    public async Task WhatIsNotJson_IsComparedByteForByte(string body)
    {
        var path = PolicyGateway.NewPath("json");

        var first = await gateway.PostAsync(path, _key, body);
        var retry = await gateway.PostAsync(path, _key, body);
        var other = await gateway.PostAsync(path, _key, body + " ");

        Assert.Equal(body, Encoding.UTF8.GetString(Assert.Single(gateway.ArrivalsAt(path)).Body));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task BytesThatAreNotUtf8_AreComparedByteForByte()
    {
        var path = PolicyGateway.NewPath("json");
        Task<Answer> PostAsync(string text) => KeyedRequests.SendAsync(gateway.Client, HttpMethod.Post, gateway.Url + path, _key, Encoding.Latin1.GetBytes(text));

        var first = await PostAsync("{\"name\":\"caf\u00e9\"}");
        var retry = await PostAsync("{\"name\":\"caf\u00e9\"}");
        var other = await PostAsync("{\"name\":\"caf\u00e8\"}");

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task WholeNumbersBeyondDoubles_AreKeptApart()
    {
        var path = PolicyGateway.NewPath("json");

        await gateway.PostAsync(path, _key, """{"id":9007199254740993}""");
        var other = await gateway.PostAsync(path, _key, """{"id":9007199254740992}""");

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Problem(422, "key-reused", other);
    }

    [Theory]
    [InlineData("default-key")]
    [InlineData("json")]
    [InlineData("no-body")]
    public async Task AFreshBoundary_IsTheSameRequest(string policy)
    {
        var path = PolicyGateway.NewPath(policy);
        var (one, oneType) = PolicyGateway.Multipart("----one", ("id", "7"), ("file", new string('x', 100_000)));
        var (two, twoType) = PolicyGateway.Multipart("two", ("id", "7"), ("file", new string('x', 100_000)));

        var first = await gateway.PostAsync(path, _key, one, ("Content-Type", oneType));
        var retry = await gateway.PostAsync(path, _key, two, ("Content-Type", twoType));

        Assert.Equal(one, Encoding.UTF8.GetString(Assert.Single(gateway.ArrivalsAt(path)).Body));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AnotherPart_IsAnotherRequest()
    {
        var path = PolicyGateway.NewPath("default-key");
        var (one, oneType) = PolicyGateway.Multipart("one", ("id", "7"), ("file", "hello"));
        (string Body, string Type)[] others =
        [
            PolicyGateway.Multipart("one", ("id", "8"), ("file", "hello")),
            PolicyGateway.Multipart("two", ("id", "7"), ("file", "hallo")),
            PolicyGateway.Multipart("two", ("file", "hello"), ("id", "7")),
            PolicyGateway.Multipart("two", ("id", "7"), ("files", "hello")),
            PolicyGateway.Multipart("two", ("id", "7")),
        ];

        var first = await gateway.PostAsync(path, _key, one, ("Content-Type", oneType));
        var answers = new List<Answer>();
        foreach (var (body, type) in others)
        {
            answers.Add(await gateway.PostAsync(path, _key, body, ("Content-Type", type)));
        }

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal(201, first.Status);
        Assert.All(answers, answer => Expect.Problem(422, "key-reused", answer));
    }

    [Theory]
    [InlineData("", "multipart/form-data; boundary=B")]
    [InlineData("no parts", "multipart/form-data; boundary=B")]
    [InlineData("--B\r\nContent-Disposition: form-data; name=\"cut\"\r\n\r\nof", "multipart/form-data; boundary=B")]
    [InlineData("no parts", "multipart/form-data; boundary=")]
    [InlineData("a boundary beyond all bounds", null)]
    public async Task WhatIsNotMultipart_IsComparedByteForByte(string body, string? contentType)
    {
        var path = PolicyGateway.NewPath("default-key");
        var type = ("Content-Type", contentType ?? $"multipart/form-data; boundary={new string('b', 5000)}");

        var first = await gateway.PostAsync(path, _key, body, type);
        var retry = await gateway.PostAsync(path, _key, body, type);
        var other = await gateway.PostAsync(path, _key, body + " ", type);

        Assert.Equal(body, Encoding.UTF8.GetString(Assert.Single(gateway.ArrivalsAt(path)).Body));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task AnUrlEncodedForm_IsComparedByteForByte()
    {
        var path = PolicyGateway.NewPath("json");
        var type = ("Content-Type", "application/x-www-form-urlencoded");

        var first = await gateway.PostAsync(path, _key, "a=1&b=2", type);
        var retry = await gateway.PostAsync(path, _key, "a=1&b=2", type);
        var other = await gateway.PostAsync(path, _key, "b=2&a=1", type);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task WithoutTheBody_OnlyTheRestCounts()
    {
        var path = PolicyGateway.NewPath("no-body");

        var first = await gateway.PostAsync(path, _key, "one");
        var retry = await gateway.PostAsync(path, _key, "two");
        var other = await gateway.PostAsync($"{path}?x=1", _key, "one");

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Expect.Problem(422, "key-reused", other);
    }

    [Fact]
    public async Task ChosenFields_Count_AndThoseThatAlwaysDo()
    {
        var path = PolicyGateway.NewPath("version-field");

        var first = await gateway.PostAsync(path, _key, "{}", ("X-Version", "1"), ("If-Match", "\"a\""));
        var retry = await gateway.PostAsync(path, _key, "{}", ("X-Version", "1"), ("If-Match", "\"a\""), ("Content-Type", "text/plain"), ("X-Trace", "2"));
        Answer[] others =
        [
            await gateway.PostAsync(path, _key, "{}", ("X-Version", "2"), ("If-Match", "\"a\"")),
            await gateway.PostAsync(path, _key, "{}", ("X-Version", "1"), ("If-Match", "\"b\"")),
            await gateway.PostAsync(path, _key, "{}", ("If-Match", "\"a\"")),
            await gateway.PostAsync(path, _key, "{}", ("X-Version", "1")),
            await gateway.PostAsync(path, _key, "{}", ("X-Version", "1"), ("If-Match", "\"a\""), ("Content-Encoding", "gzip")),
        ];

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Replay(first, retry);
        Assert.All(others, other => Expect.Problem(422, "key-reused", other));
    }
}
