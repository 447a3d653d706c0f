using System.Security.Cryptography;
using Gateway.Idempotency;
using Gateway.Policies;
using Gateway.Storage;
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
    public void Values_AreEncoded(string template, string key, string target) => Assert.Equal(target, QuestionOf(template, key)?.Target);

    [Theory]
    [InlineData("/payments/{key}", "..")]
    [InlineData("/payments/{key}", ".")]
    [InlineData("/payments/{query:empty}", "k")]
    [InlineData("/payments/{query:missing}", "k")]
    [InlineData("/payments/{query:twice}", "k")]
    public void AValueThatWouldAskForSomethingElse_AsksNothing(string template, string key) => Assert.Null(QuestionOf(template, key));

    [Fact]
    public void TheKey_IsTheOneThatTheBackendKnows() =>
        Assert.Equal($"/payments?ref={RecordIds.DeriveKey(Id)}", QuestionOf("/payments?ref={key}", "k", ForwardKey.Derived)?.Target);

    [Fact]
    public void ASealedQuestion_IsOpenedForItsRecordOnly_AndDoesNotShowTheKey()
    {
        var question = QuestionOf("/payments?ref={key}", "a-rather-long-key")!;
        var bytes = question.Seal(Secret, Id);

        Assert.Equal(question, ProbeQuestion.TryOpen(Secret, Id, bytes));
        Assert.Null(ProbeQuestion.TryOpen(Secret, NewId(), bytes));
        Assert.Null(ProbeQuestion.TryOpen(RandomNumberGenerator.GetBytes(32), Id, bytes));
        Assert.DoesNotContain("long-key", System.Text.Encoding.Latin1.GetString(bytes), StringComparison.Ordinal);
        Assert.All(Enumerable.Range(0, bytes.Length), i => Assert.Null(ProbeQuestion.TryOpen(Secret, Id, Flipped(bytes, i))));
    }

    private static ProbeQuestion? QuestionOf(string template, string key, ForwardKey forwardKey = ForwardKey.AsIs)
    {
        var context = new DefaultHttpContext();
        context.Request.QueryString = new QueryString("?id=7&empty=&twice=1&twice=2");
        var policy = new IdempotencyPolicy
        {
            Name = "p",
            ForwardKey = forwardKey,
            UncertainRetries = UncertainRetries.Probe,
            Probe = new ProbePolicy(ProbeTemplate.Parse(template, out _)!, [], [200], [404]) { AbsentAfter = default },
        };
        return ProbeQuestion.TryCreate(policy, "bank", Id, key, new RequestValues(context));
    }

    private static byte[] Flipped(byte[] bytes, int at)
    {
        var copy = (byte[])bytes.Clone();
        copy[at] ^= 1;
        return copy;
    }

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));
}
