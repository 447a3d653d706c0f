using System.Diagnostics.Metrics;
using System.Text;
using Gateway.Configuration;
using Gateway.Idempotency;
using Gateway.Policies;
using Gateway.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>
/// Records outlive releases: the digests of both versions are written down here, computed once by hand from the description of the
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
        Assert.Equal(2, RequestFingerprint.Version);
        Assert.Equal("01f452fe29492e0d22ca7472c937cfccdb012a593ac67be3053b73fb1b95469826", await HexAsync(Raw, Json, JsonBody));
        Assert.Equal("021edd3bc6bcf9e0d7f1bb0dd79ca1ff8a689c30169914bc027f24957788c26c22", await HexAsync(AsJson, Json, JsonBody));
        Assert.Equal("01627caed2e2a7fd876690d99d967660b8005d24e01a35ae55a45615348ed13014", await HexAsync(NoBody, Json, JsonBody));
        Assert.Equal("0288c4072def2eec74e821452239dff7fc0d8af1c5e82eebba0a4f9e8aa87de7a3", await HexAsync(Raw, Multipart, MultipartBody));
        Assert.Equal("0288c4072def2eec74e821452239dff7fc0d8af1c5e82eebba0a4f9e8aa87de7a3", await HexAsync(AsJson, Multipart, MultipartBody));
        Assert.Equal("027e92c446c15bff0a39e821ee9e14b6d59a154e20da81fdc2bbbeadb47826b5e2", await HexAsync(NoBody, Multipart, MultipartBody));
    }

    [Fact]
    public void OlderVersions_AreStillCompared()
    {
        Assert.Equal([1, 2], Enumerable.Range(0, 256).Where(version => RequestFingerprint.Knows((byte)version)));
    }

    [Fact]
    public async Task AFreshBoundary_IsNoOtherRequest_FromVersion2On()
    {
        var other = (Multipart.Replace("=B", "=C", StringComparison.Ordinal), MultipartBody.Replace("--B", "--C", StringComparison.Ordinal));

        Assert.NotEqual(await HexAsync(Raw, Multipart, MultipartBody, version: 1), await HexAsync(Raw, other.Item1, other.Item2, version: 1));
        Assert.Equal(await HexAsync(Raw, Multipart, MultipartBody), await HexAsync(Raw, other.Item1, other.Item2));
        Assert.Equal(await HexAsync(NoBody, Multipart, MultipartBody), await HexAsync(NoBody, other.Item1, "other"));
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

        await RequestFingerprint.ComputeAsync(context, Raw, body, content);

        Assert.Equal(MultipartBody, await new StreamReader(context.Request.Body).ReadToEndAsync());
    }

    private static async Task<string> HexAsync(IdempotencyPolicy policy, string contentType, string text, byte version = RequestFingerprint.Version)
    {
        var (context, body, content) = await ReadAsync(policy, contentType, text);
        await using (body)
        {
            var fingerprint = await RequestFingerprint.ComputeAsync(context, policy, body, content, version: version);
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
        var body = new RequestBody(context.Request, new BufferBudget(new LimitSettings(), new GatewayMetrics(meters)), 0);
        var bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length > 0)
        {
            bytes.CopyTo(body.Rent(bytes.Length), 0);
            body.UseBuffer(bytes.Length);
        }

        return (context, body, policy.ParsesBody ? await RequestContent.ParseAsync(contentType, body.Bytes) : null);
    }
}
