using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class MultipartPartsTests
{
    private const string Field = "Content-Disposition: form-data; name=\"id\"\r\n\r\n7";
    private const string File = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--not-the-end";

    [Theory]
    [InlineData("multipart/form-data; boundary=abc", "abc")]
    [InlineData("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", "a b")]
    [InlineData("multipart/form-data", null)]
    [InlineData("multipart/form-data; boundary=", null)]
    [InlineData("multipart/form-data; boundary=\"\"", null)]
    [InlineData("multipart/mixed; boundary=abc", null)]
    [InlineData("application/json", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void TheBoundary_IsReadFromTheContentType(string? contentType, string? boundary) => Assert.Equal(boundary, MultipartParts.FormBoundaryOf(contentType));

    [Fact]
    public void ABoundary_HasAtMost70Characters()
    {
        Assert.NotNull(MultipartParts.BoundaryOf($"multipart/form-data; boundary={new string('b', 70)}"));
        Assert.Null(MultipartParts.BoundaryOf($"multipart/form-data; boundary={new string('b', 71)}"));
    }

    [Fact]
    public void AContentTypeWithoutItsBoundary_KeepsTheRest()
    {
        Assert.Equal("multipart/form-data", MultipartParts.WithoutBoundary("multipart/form-data; boundary=abc"));
        Assert.Equal("multipart/form-data; charset=utf-8", MultipartParts.WithoutBoundary("multipart/form-data; boundary=abc; charset=utf-8"));
    }

    [Fact]
    public async Task TheBoundary_DoesNotMatter_NorTheOrderOfAPartsFields()
    {
        var digest = await DigestAsync("one", Field, File);
        var swapped = "content-type: text/plain\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--not-the-end";

        Assert.NotNull(digest);
        Assert.Equal(digest, await DigestAsync("two", Field, File));
        Assert.Equal(digest, await DigestAsync("one", Field, swapped));
    }

    [Fact]
    public async Task EverythingElse_Matters()
    {
        var all = new List<Digest?>
        {
            await DigestAsync("b", Field, File),
            await DigestAsync("b", File, Field),
            await DigestAsync("b", Field),
            await DigestAsync("b", Field, Field, File),
            await DigestAsync("b", Field + "8", File),
            await DigestAsync("b", Field, File.Replace("hello", "hallo", StringComparison.Ordinal)),
            await DigestAsync("b", Field, File.Replace("a.txt", "b.txt", StringComparison.Ordinal)),
            await DigestAsync("b", Field, File.Replace("text/plain", "text/html", StringComparison.Ordinal)),
            await DigestAsync("b", Field, File.Replace("Content-Type: text/plain\r\n", "", StringComparison.Ordinal)),
        };

        Assert.DoesNotContain(null, all);
        Assert.Equal(all.Count, all.Distinct().Count());
    }

    [Fact]
    public async Task WhatIsNotMultipart_HasNoDigestOfParts_AndNoFields()
    {
        byte[][] bodies =
        [
            [],
            "{}"u8.ToArray(),
            Body("other", Field),
            Body("b", Field)[..^8],
            Body("b", "no field\r\n\r\nx"),
            Body("b", File.Replace("a.txt", "\u00e9.txt", StringComparison.Ordinal), Encoding.Latin1),
        ];

        foreach (var body in bodies)
        {
            Assert.Null(await MultipartParts.DigestAsync("b", new MemoryStream(body)));
        }

        Assert.All(bodies[..^1], body => Assert.Empty(MultipartParts.ReadFieldsAsync("b", body).Result));
    }

    [Fact]
    public async Task Fields_AreReadByName_InAnyCase_AndFilesAreNot()
    {
        var fields = await MultipartParts.ReadFieldsAsync(
            "b", Body("b", Field, File, "Content-Disposition: form-data; name=ID\r\n\r\ncaf\u00e9", "Content-Type: text/plain\r\n\r\nnameless"));

        Assert.Equal("7|caf\u00e9", string.Join('|', fields["id"].ToArray()));
        Assert.Equal(["id"], fields.Keys);
    }

    [Fact]
    public async Task MoreFieldsThanAnybodyMeans_AreNone()
    {
        Assert.Equal(1024, (await MultipartParts.ReadFieldsAsync("b", Body("b", [.. Enumerable.Repeat(Field, 1024)])))["id"].Count);
        Assert.Empty(await MultipartParts.ReadFieldsAsync("b", Body("b", [.. Enumerable.Repeat(Field, 1025)])));
    }

    private static Task<Digest?> DigestAsync(string boundary, params string[] parts) => MultipartParts.DigestAsync(boundary, new MemoryStream(Body(boundary, parts)));

    private static byte[] Body(string boundary, params string[] parts) => Encoding.UTF8.GetBytes(Text(boundary, parts));

    private static byte[] Body(string boundary, string part, Encoding encoding) => encoding.GetBytes(Text(boundary, part));

    private static string Text(string boundary, params string[] parts) =>
        string.Concat(parts.Select(part => $"--{boundary}\r\n{part}\r\n")) + $"--{boundary}--\r\n";
}
