using System.Diagnostics.Metrics;
using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>
/// Records outlive releases: the digests of all versions are written down here, computed once by hand from the description of the
/// algorithm. One that changes needs a new version.
/// </summary>
public sealed class RequestFingerprintTests
{
    private const string Json = "application/json";
    private const string Multipart = "multipart/form-data; boundary=B";
    private const string JsonBody = """{"b":1.0,"a":["x",null]}""";
    private const string MultipartBody =
        "--B\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n"
        + "--B\r\ncontent-type: text/plain\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--B--\r\n";

    private static readonly IdempotencyPolicy Raw = new() { Name = "p", FingerprintHeaders = ["Content-Type"] };
    private static readonly IdempotencyPolicy AsJson = Raw with { FingerprintBody = FingerprintBody.Json };
    private static readonly IdempotencyPolicy NoBody = Raw with { FingerprintBody = FingerprintBody.None };

    [Fact]
    public async Task Version1_IsAsItWas()
    {
        Assert.Equal("01f452fe29492e0d22ca7472c937cfccdb012a593ac67be3053b73fb1b95469826", await HexAsync(Raw, Json, JsonBody, version: 1));
        Assert.Equal("01f452fe29492e0d22ca7472c937cfccdb012a593ac67be3053b73fb1b95469826", await HexAsync(AsJson, Json, JsonBody, version: 1));
        Assert.Equal("0178013a83bd811f9f65f4d7ff14e9d315beb9f60e9b7b2d1e6e3db4d408ee85b4", await HexAsync(Raw, Multipart, MultipartBody, version: 1));
    }

    [Fact]
    public async Task Version2_IsAsItWas_AndNamedOnlyWhereItMatters()
    {
        Assert.Equal("01f452fe29492e0d22ca7472c937cfccdb012a593ac67be3053b73fb1b95469826", await HexAsync(Raw, Json, JsonBody, 2));
        Assert.Equal("021edd3bc6bcf9e0d7f1bb0dd79ca1ff8a689c30169914bc027f24957788c26c22", await HexAsync(AsJson, Json, JsonBody, 2));
        Assert.Equal("01627caed2e2a7fd876690d99d967660b8005d24e01a35ae55a45615348ed13014", await HexAsync(NoBody, Json, JsonBody, 2));
        Assert.Equal("0288c4072def2eec74e821452239dff7fc0d8af1c5e82eebba0a4f9e8aa87de7a3", await HexAsync(Raw, Multipart, MultipartBody, 2));
        Assert.Equal("0288c4072def2eec74e821452239dff7fc0d8af1c5e82eebba0a4f9e8aa87de7a3", await HexAsync(AsJson, Multipart, MultipartBody, 2));
        Assert.Equal("027e92c446c15bff0a39e821ee9e14b6d59a154e20da81fdc2bbbeadb47826b5e2", await HexAsync(NoBody, Multipart, MultipartBody, 2));
    }

    [Fact]
    public void OlderVersions_AreStillCompared()
    {
        Assert.Equal([1, 2, 3], Enumerable.Range(0, 256).Where(version => RequestFingerprint.Knows((byte)version)));
    }

    [Fact]
    public async Task AFreshBoundary_IsNoOtherRequest_FromVersion2On()
    {
        var other = (Multipart.Replace("=B", "=C", StringComparison.Ordinal), MultipartBody.Replace("--B", "--C", StringComparison.Ordinal));

        Assert.NotEqual(await HexAsync(Raw, Multipart, MultipartBody, version: 1), await HexAsync(Raw, other.Item1, other.Item2, version: 1));
        Assert.Equal(await HexAsync(Raw, Multipart, MultipartBody, 2), await HexAsync(Raw, other.Item1, other.Item2, 2));
        Assert.Equal(await HexAsync(NoBody, Multipart, MultipartBody, 2), await HexAsync(NoBody, other.Item1, "other", 2));
    }

    [Fact]
    public async Task WhatIsNotUnderstood_IsComparedByteForByte()
    {
        Assert.NotEqual(await HexAsync(AsJson, Json, "{"), await HexAsync(AsJson, Json, "{ "));
        Assert.NotEqual(await HexAsync(AsJson, Json, """{"a":1,"a":2}"""), await HexAsync(AsJson, Json, """{"a":2,"a":1}"""));
        Assert.NotEqual(await HexAsync(Raw, Multipart, "--B"), await HexAsync(Raw, Multipart, "--B "));
        Assert.NotEqual(await HexAsync(Raw, Multipart, ""), await HexAsync(Raw, "multipart/form-data; boundary=C", ""));
        Assert.Equal(await HexAsync(AsJson, Json, "{"), await HexAsync(AsJson, Json, "{"));
    }

    [Fact]
    public async Task TheBody_IsReadableAgain()
    {
        var (context, body, content) = await ReadAsync(Raw, Multipart, MultipartBody);

        await RequestFingerprint.CreateAsync(context, Raw, body, content, question: null, Id, Secret);

        Assert.Equal(MultipartBody, await new StreamReader(context.Request.Body).ReadToEndAsync());
    }

    /// <summary>Computed by another program, in another language, from the description.</summary>
    [Fact]
    public async Task Version3_IsAsItWas()
    {
        Assert.Equal(3, RequestFingerprint.Version);
        Assert.Equal("03db3b00cfcf5f6aeab114aff0ae99777189711983c86f70d8b970bf8f7ae7b022", await HexAsync(Raw, Json, JsonBody));
        Assert.Equal("03fe6664ac6a6948bfc1b862995b2fef9489711983c86f70d8e4a196db7ae7b022", await HexAsync(Raw with { FingerprintHost = true }, Json, JsonBody));
    }

    [Theory]
    [InlineData("host: API.Example:80")]
    [InlineData("host: api.example.:80", "host: api.example.")]
    [InlineData("type: application/JSON")]
    [InlineData("type: application/json;charset=UTF-8", "type: application/json; Charset=\"utf-8\"")]
    [InlineData("type: text/plain;a=1;b=2", "type: text/plain; b=2; a=1")]
    [InlineData("target: /or%64ers/%7ea?x=%2f", "target: /orders/~a?x=%2F")]
    [InlineData("Content-Encoding: GZIP", "Content-Encoding: gzip")]
    [InlineData("X-Tenant: a|b", "X-Tenant: a, b")]
    [InlineData("body: --B\r\n\r\n1\r\n--B--|type: multipart/mixed; boundary=B", "body: --C\r\n\r\n1\r\n--C--|type: Multipart/Mixed; boundary=\"C\"")]
    [InlineData("body: --B\r\n\r\n1\r\n--B--|type: multipart/related; type=\"a/b\"; boundary=B", "body: --C\r\n\r\n1\r\n--C--|type: multipart/related; boundary=C; type=\"a/b\"")]
    [InlineData(
        "body: --B\r\nContent-Type: multipart/mixed; boundary=I\r\n\r\n--I\r\n\r\n1\r\n--I--\r\n--B--|type: multipart/form-data; boundary=B",
        "body: --C\r\nContent-Type: multipart/mixed; boundary=J\r\n\r\n--J\r\n\r\n1\r\n--J--\r\n--C--|type: multipart/form-data; boundary=C")]
    public async Task WhatIsWrittenInAnotherWay_IsNoOtherRequest(string change, string? first = null)
    {
        var policy = Raw with { FingerprintHost = true, FingerprintHeaders = ["Content-Type", "X-Tenant"] };

        Assert.Empty(await DifferencesAsync(policy, Changes(first), Changes(change)));
    }

    [Theory]
    [InlineData("method: PUT", "method")]
    [InlineData("target: /orderS?x=%2F", "path")]
    [InlineData("target: /orders?x=/", "query")]
    [InlineData("target: /orders", "query")]
    [InlineData("target: /orders%2F?x=%2F", "path")]
    [InlineData("host: b.example", "host")]
    [InlineData("host: api.example:8080", "host")]
    [InlineData("body: other", "body")]
    [InlineData("type: text/plain", "header Content-Type")]
    [InlineData("type: application/json;charset=latin1", "header Content-Type")]
    [InlineData("X-Tenant: b", "header X-Tenant")]
    [InlineData("Range: bytes=1-2", "header Range")]
    [InlineData("If-Match: \"a\"", "header If-Match")]
    [InlineData("X-HTTP-Method-Override: PUT", "header X-HTTP-Method-Override")]
    [InlineData("X-HTTP-Method: PUT", "header X-HTTP-Method")]
    [InlineData("X-Method-Override: PUT", "header X-Method-Override")]
    [InlineData("Content-Encoding: gzip", "header Content-Encoding")]
    [InlineData("If-None-Match: *", "header If-None-Match")]
    [InlineData("If-Modified-Since: a", "header If-Modified-Since")]
    [InlineData("If-Unmodified-Since: a", "header If-Unmodified-Since")]
    [InlineData("If-Range: \"a\"", "header If-Range")]
    [InlineData("Range: bytes=1-2|If-Match: \"a\"", "header Range", "header If-Match")]
    [InlineData("body: other|host: b.example", "body", "host")]
    public async Task WhatDiffers_IsNamed(string change, params string[] expected)
    {
        var policy = Raw with { FingerprintHost = true, FingerprintHeaders = ["Content-Type", "X-Tenant"] };

        Assert.Equal(expected, await DifferencesAsync(policy, [], Changes(change)));
        Assert.Equal(
            RequestFingerprint.AlwaysHashed.Any(name => expected[0] == $"header {name}") ? ["a header field that is missing now"] : expected,
            await DifferencesAsync(policy, Changes(change), []));
    }

    /// <summary>Fields that share a tag are named where it is known, and never one that is the same.</summary>
    [Theory]
    [InlineData("If-Match: a", "If-Match: b", "header If-Match, or one that is missing now")]
    [InlineData("If-Match: a|Range: b", "If-Match: a", "header If-Match, or one that is missing now")]
    [InlineData("If-Match: a|Range: b", "If-Match: c|Range: b", "another header field")]
    [InlineData("", "Fourth: a", "header Fourth")]
    [InlineData("Fourth: a", "", "a header field that is missing now")]
    [InlineData("Fourth: a|Range: b", "Range: b", "header Range, or one that is missing now")]
    [InlineData("Third: a", "Third: b", "header Third, or one that is missing now")]
    [InlineData("Third: a", "Fourth: a", "header Fourth, or one that is missing now")]
    [InlineData("Second: a", "Second: b", "header Second")]
    public async Task FieldsThatShareATag_AreNamedWhereThatIsKnown(string first, string retry, string expected)
    {
        var policy = Raw with { FingerprintHost = true, FingerprintHeaders = ["First", "Second", "Third", "Fourth"] };

        Assert.Equal([expected], await DifferencesAsync(policy, Changes(first), Changes(retry)));
    }

    [Fact]
    public async Task WhatDiffersFromARecordOfAnOlderRelease_IsNotKnown()
    {
        var (context, body, content) = await ReadAsync(Raw, Json, JsonBody);
        var older = await OlderFingerprint.ComputeAsync(context, Raw, body, content, question: null, version: 1);
        var mine = await RequestFingerprint.CreateAsync(context, Raw, body, content, question: null, Id, Secret);

        Assert.True(await mine.IsSameAsync(older));
        Assert.False(await mine.IsSameAsync(older with { Version = 2 }));
        Assert.False(await mine.IsSameAsync(older with { Version = 4 }));
        Assert.Empty(mine.DifferencesFrom(older));
    }

    /// <summary>What a probe would ask, and the fields that it fills in; those that are always the same say nothing.</summary>
    [Theory]
    [InlineData("/orders/2", "a", "text", false)]
    [InlineData("/orders/1", "b", "text", false)]
    [InlineData("/orders/1", "a", "other", true)]
    [InlineData(null, null, null, false)]
    public async Task WhatAProbeWouldAsk_IsPartOfTheRequest(string? target, string? filled, string? literal, bool isSame)
    {
        var policy = Raw with { Probe = Probing("{query:x}", "text") };
        var first = QuestionOf("/orders/1", "a", "text");
        var retry = target is null ? null : QuestionOf(target, filled!, literal!);
        var (context, body, content) = await ReadAsync(policy, Json, JsonBody);

        var recorded = (await RequestFingerprint.CreateAsync(context, policy, body, content, first, Id, Secret)).Value;
        Assert.Equal(isSame, await (await RequestFingerprint.CreateAsync(context, policy, body, content, retry, Id, Secret)).IsSameAsync(recorded));

        foreach (var version in new byte[] { 1, 2 })
        {
            var older = await OlderFingerprint.ComputeAsync(context, policy, body, content, first, version);
            Assert.Equal(isSame, await (await RequestFingerprint.CreateAsync(context, policy, body, content, retry, Id, Secret)).IsSameAsync(older));
        }
    }

    [Fact]
    public async Task AFieldOfAProbe_IsMoreThanItsValue()
    {
        var (context, body, content) = await ReadAsync(Raw, Json, JsonBody);
        var question = QuestionOf("/orders/1", "a", "text");
        var (one, other) = (await OfAsync("X-Filled"), await OfAsync("X-Tenant"));

        Assert.NotEqual(one, other);
        Assert.Equal(one, await OfAsync("X-Filled"));

        async Task<Fingerprint> OfAsync(string name) => (await RequestFingerprint.CreateAsync(
            context, Raw with { Probe = Probing("{query:x}", "text", name) }, body, content, question, Id, Secret)).Value;
    }

    [Fact]
    public async Task AnEmptyQuery_IsAnotherThanNone()
    {
        var (context, body, content) = await ReadAsync(Raw, Json, JsonBody);
        var (none, empty) = (await OfAsync("/orders"), await OfAsync("/orders?"));

        Assert.NotEqual(none, empty);
        Assert.Equal(empty, await OfAsync("/orders?"));

        async Task<Fingerprint> OfAsync(string target)
        {
            context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = target;
            return (await RequestFingerprint.CreateAsync(context, Raw, body, content, question: null, Id, Secret)).Value;
        }
    }

    private static ProbePolicy Probing(string filled, string literal, string name = "X-Filled") => new(
        ProbeTemplate.Root,
        [new(name, ProbeTemplate.ParseText($"of {filled}", out _)!), new("X-Literal", ProbeTemplate.ParseText(literal, out _)!)],
        [200],
        [404])
    {
        AbsentAfter = TimeSpan.Zero,
    };

    private static ProbeQuestion QuestionOf(string target, string filled, string literal) => new(
        "p", new ProbeRequest(null!, target, AsWritten: false, [new("X-Filled", filled), new("X-Literal", literal)]), []);

    [Fact]
    public async Task TheHost_CountsOnlyWhereItDecidesSomething() =>
        Assert.Empty(await DifferencesAsync(Raw, [], Changes("host: other.example:8443")));

    [Fact]
    public async Task WhoeverReadsTheStore_SeesNeitherWhatIsAlike_NorPartsOfIt()
    {
        var (context, body, content) = await ReadAsync(Raw, Json, JsonBody);
        List<byte[]> seen = [];
        foreach (var (id, secret) in new[] { (Id, Secret), (new RecordId(new Digest(9, 9, 9, 9)), Secret), (Id, "another secret"u8.ToArray()) })
        {
            seen.Add((await RequestFingerprint.CreateAsync(context, Raw, body, content, question: null, id, secret)).Value.ToArray());
        }

        for (var at = 1; at < Fingerprint.Size; at += 2)
        {
            Assert.Equal(3, seen.Select(bytes => BitConverter.ToUInt16(bytes, at)).Distinct().Count());
        }
    }

    private static readonly RecordId Id = new(new Digest(1, 2, 3, 4));
    private static readonly byte[] Secret = "0123456789abcdef0123456789abcdef"u8.ToArray();

    private static Dictionary<string, string> Changes(string? text) => (text ?? "").Split('|', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => line.Split(": ", 2)).Aggregate(new Dictionary<string, string>(), (all, pair) =>
        {
            // A line without a name is another line of the field before.
            var (name, value) = pair.Length == 2 ? (pair[0], pair[1]) : (all.Keys.Last(), $"{all.Values.Last()}|{pair[0]}");
            all[name] = value;
            return all;
        });

    private static async Task<IReadOnlyList<string>> DifferencesAsync(
        IdempotencyPolicy policy, Dictionary<string, string> first, Dictionary<string, string> retry)
    {
        var recorded = await OfAsync(first);
        var mine = await OfAsync(retry);
        var differences = mine.DifferencesFrom(recorded.Value);
        Assert.Equal(differences.Count == 0, await mine.IsSameAsync(recorded.Value));
        return differences;

        async Task<RequestFingerprint> OfAsync(Dictionary<string, string> changes)
        {
            var (context, body, content) = await ReadAsync(policy, changes.GetValueOrDefault("type", Json), changes.GetValueOrDefault("body", JsonBody));
            context.Request.Headers.Remove("Range");
            foreach (var (name, value) in changes)
            {
                switch (name)
                {
                    case "method":
                        context.Request.Method = value;
                        break;
                    case "host":
                        context.Request.Host = new HostString(value);
                        break;
                    case "target":
                        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = value;
                        break;
                    case "type" or "body":
                        break;
                    default:
                        context.Request.Headers[name] = value.Split('|');
                        break;
                }
            }

            return await RequestFingerprint.CreateAsync(context, policy, body, content, question: null, Id, Secret);
        }
    }

    private static async Task<string> HexAsync(IdempotencyPolicy policy, string contentType, string text, byte version = RequestFingerprint.Version)
    {
        var (context, body, content) = await ReadAsync(policy, contentType, text);
        await using (body)
        {
            var fingerprint = version == RequestFingerprint.Version
                ? (await RequestFingerprint.CreateAsync(context, policy, body, content, question: null, Id, Secret)).Value
                : await OlderFingerprint.ComputeAsync(context, policy, body, content, question: null, version);
            content?.Dispose();
            return Convert.ToHexStringLower(fingerprint.ToArray());
        }
    }

    private static async Task<(HttpContext Context, RequestBody Body, RequestContent? Content)> ReadAsync(IdempotencyPolicy policy, string contentType, string text)
    {
        var context = new DefaultHttpContext();
        context.Request.Method = "post";
        context.Request.Host = new HostString("api.example");
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = "/orders?x=%2F";
        context.Request.ContentType = contentType;
        context.Request.Headers.Range = "bytes=0-1";
        context.Request.Headers.UserAgent = "does not matter";
        var meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();
        var body = new RequestBody(context.Request, new BufferBudget(new LimitSettings(), new IdempotencyMetrics(meters)));
        var bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length > 0)
        {
            Assert.True(body.TryGrow(bytes.Length));
            bytes.CopyTo(body.Buffer);
            body.UseBuffer(bytes.Length);
        }

        return (context, body, policy.ParsesBody ? await RequestContent.ParseAsync(contentType, body.Bytes) : null);
    }
}
