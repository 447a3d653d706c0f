using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>A question must ask about the request that it was made of, and about nothing else.</summary>
public sealed class ProbeQuestionTests
{
    private static readonly byte[] Secret = RandomNumberGenerator.GetBytes(32);
    private static readonly RecordId Id = NewId();

    [Theory]
    [InlineData("/payments?ref={key}", "order 1/2", "/payments?ref=order%201%2F2")]
    [InlineData("/payments/{key}", "..a", "/payments/..a")]
    [InlineData("/payments/{query:id}?ref={key}", "k", "/payments/7?ref=k")]
    public void Values_AreEncoded(string template, string key, string target) => Assert.Equal(target, QuestionOf(template, key)?.Request.Target);

    [Theory]
    [InlineData("/payments/{key}", "..")]
    [InlineData("/payments/{key}", ".")]
    [InlineData("/payments/{query:empty}", "k")]
    [InlineData("/payments/{query:missing}", "k")]
    [InlineData("/payments/{query:twice}", "k")]
    public void AValueThatWouldAskForSomethingElse_AsksNothing(string template, string key) => Assert.Null(QuestionOf(template, key));

    [Fact]
    public void TheKey_IsTheOneThatTheBackendKnows() =>
        Assert.Equal($"/payments?ref={RecordIds.DeriveKey(Id)}", QuestionOf("/payments?ref={key}", "k", ForwardKey.Derived)?.Request.Target);

    [Theory]
    [InlineData("of {query:id}", "of 7")]
    [InlineData("as written: é", "as written: é")]
    [InlineData("{query:letter}", null)] // which bytes the backend would read it by is not known
    [InlineData("{query:line}", null)]
    [InlineData("{query:missing}", null)]
    public void AField_SaysTheValue_OrNothingIsAsked(string template, string? value) =>
        Assert.Equal(value, QuestionOf("/a", "k", headers: [new("X-Of", ProbeTemplate.ParseText(template, out _)!)])?.Request.Headers.Single().Value);

    [Theory]
    [InlineData("{key} of {query:id}", "a b/ü of 7")]
    [InlineData("{query:missing}", null)]
    public void WhatAnAnswerMustSay_IsNotEncoded(string template, string? text) =>
        Assert.Equal(text, QuestionOf("/a", "a b/ü", json: [new("/of", ProbeTemplate.ParseText(template, out _)!)])?.Expected.Single().Value);

    [Fact]
    public void AQuestionForAPolicyThatExpectsSomethingElseByNow_DoesNotFit()
    {
        KeyValuePair<string, ProbeTemplate> reference = new("/ref", ProbeTemplate.ParseText("{key}", out _)!);
        var question = QuestionOf("/a", "k", json: [reference])!;

        Assert.True(question.Fits(PolicyOf("/a", json: [reference])));
        Assert.False(question.Fits(PolicyOf("/a", json: [reference, new("/state", reference.Value)])));
        Assert.False(question.Fits(PolicyOf("/a")));
    }

    [Fact]
    public void ASealedQuestion_IsOpenedForItsRecordOnly_AndDoesNotShowTheKey()
    {
        var question = QuestionOf("/payments?ref={key}", "a-rather-long-key")!;
        var bytes = question.Seal(Secret, Id);

        Assert.Equivalent(question, ProbeQuestion.TryOpen(Secret, Id, bytes), strict: true);
        Assert.Null(ProbeQuestion.TryOpen(Secret, NewId(), bytes));
        Assert.Null(ProbeQuestion.TryOpen(RandomNumberGenerator.GetBytes(32), Id, bytes));
        Assert.DoesNotContain("long-key", Encoding.Latin1.GetString(bytes), StringComparison.Ordinal);
        Assert.All(Enumerable.Range(0, bytes.Length), i => Assert.Null(ProbeQuestion.TryOpen(Secret, Id, Flipped(bytes, i))));
    }

    /// <summary>It does not say which way its request went, so that nothing must be concluded from an answer to it.</summary>
    [Fact]
    public void AQuestionThatRelease010Sealed_IsLeftToTheRetry()
    {
        Assert.Null(ProbeQuestion.TryOpen(Secret, Id, SealedAs("""["p","bank","/payments?ref=k"]""")));
        Assert.NotNull(ProbeQuestion.TryOpen(Secret, Id, QuestionOf("/payments?ref={key}", "k")!.Seal(Secret, Id))); // so the key is right
        Assert.Null(ProbeQuestion.TryOpen(Secret, Id, SealedAs("""["3","{}"]""")));
    }

    /// <summary>0.1.0, beside this release in a rolling update, takes a list of any other length for nothing that it knows.</summary>
    [Fact]
    public void ASealedQuestion_IsNoneForRelease010()
    {
        var bytes = QuestionOf("/payments?ref={key}", "k")!.Seal(Secret, Id);
        var plain = SealedBox.TryOpen(SealKey, bytes, Id.Digest.ToArray())!;

        Assert.Equal(2, JsonSerializer.Deserialize<string[]>(plain)!.Length);
    }

    private static byte[] SealKey => HKDF.DeriveKey(HashAlgorithmName.SHA256, Secret, Digest.Size, info: "probe"u8.ToArray());

    private static byte[] SealedAs(string plain)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(plain) + SealedBox.Overhead];
        SealedBox.Seal(SealKey, Encoding.UTF8.GetBytes(plain), Id.Digest.ToArray(), bytes);
        return bytes;
    }

    private static ProbePolicy PolicyOf(string template, IReadOnlyList<KeyValuePair<string, ProbeTemplate>>? headers = null, IReadOnlyList<KeyValuePair<string, ProbeTemplate>>? json = null) =>
        new(ProbeTemplate.Parse(template, out _)!, headers ?? [], [200], [404]) { AbsentAfter = TimeSpan.Zero, Match = json is null ? null : new ProbeMatch(null, json) };

    private static ProbeQuestion? QuestionOf(
        string template,
        string key,
        ForwardKey forwardKey = ForwardKey.AsIs,
        IReadOnlyList<KeyValuePair<string, ProbeTemplate>>? headers = null,
        IReadOnlyList<KeyValuePair<string, ProbeTemplate>>? json = null)
    {
        var context = new DefaultHttpContext();
        context.Request.QueryString = new QueryString("?id=7&empty=&twice=1&twice=2&letter=%C3%A9&line=a%0Ab");
        var policy = new IdempotencyPolicy
        {
            Name = "p",
            ForwardKey = forwardKey,
            UncertainRetries = UncertainRetries.Probe,
            Probe = PolicyOf(template, headers, json),
        };
        var origin = new ProbeOrigin("pay", "bank", "https", "shop.example", "127.0.0.1", [new("X-Forwarded-Host", "a")], [new("id", "1")]);
        return ProbeQuestion.TryCreate(policy, origin, Id, key, new RequestValues(context));
    }

    private static byte[] Flipped(byte[] bytes, int at)
    {
        var copy = (byte[])bytes.Clone();
        copy[at] ^= 1;
        return copy;
    }

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));
}
