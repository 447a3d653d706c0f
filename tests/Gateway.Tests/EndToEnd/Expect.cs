using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What tests say about answers again and again.</summary>
internal static class Expect
{
    private const string Replayed = "Idempotent-Replayed";

    /// <summary>Same status, same header lines (but for the mark of a replay and the connection's own), same bytes.</summary>
    public static void Replay(Answer first, Answer retry)
    {
        Assert.True(retry.IsReplay, $"no replay, but {retry.Status} {retry.ProblemType}");
        Assert.Null(first.Header(Replayed));
        Assert.Equal(first.Status, retry.Status);
        Assert.Equal(Lines(first), Lines(retry));
        Assert.Equal(first.Body, retry.Body);
    }

    /// <summary>One of the gateway's own answers, described and linked as it should be.</summary>
    public static void Problem(int status, string type, Answer answer)
    {
        Assert.Equal((status, type), (answer.Status, answer.ProblemType));
        Assert.Equal("application/problem+json", answer.Header("Content-Type"));
        Assert.Equal("</.well-known/idempotency>; rel=\"describedby\"", answer.Header("Link"));
        Assert.Equal(status, answer.Problem!.Value.GetProperty("status").GetInt32());
        Assert.Null(answer.Header(Replayed));
    }

    /// <summary>The first request is running: come back soon.</summary>
    public static void InProgress(Answer answer)
    {
        Problem(409, "in-progress", answer);
        Assert.InRange(int.Parse(answer.Header("Retry-After")!, CultureInfo.InvariantCulture), 1, 5);
    }

    /// <summary>Nobody knows how the first request ended: coming back does not help.</summary>
    public static void Uncertain(Answer answer)
    {
        Problem(409, "outcome-uncertain", answer);
        Assert.Null(answer.Header("Retry-After"));
    }

    /// <summary>The first request was executed; the problem tells how it ended, since its answer cannot.</summary>
    public static void NotKept(TombstoneReason reason, int status, string? location, Answer answer)
    {
        Problem(409, "answer-not-kept", answer);
        var original = answer.Problem!.Value.GetProperty("original");
        Assert.Equal(reason.ToString(), original.GetProperty("reason").GetString());
        Assert.Equal((status, location), (original.GetProperty("status").GetInt32(), original.GetProperty("location").GetString()));
    }

    /// <summary>The order of different names has no meaning (RFC 9110, section 5.3); the order of equal names has.</summary>
    private static IEnumerable<string> Lines(Answer answer) => answer.Headers
        .Where(field => field.Key is not (Replayed or "Connection"))
        .OrderBy(field => field.Key, StringComparer.OrdinalIgnoreCase)
        .Select(field => $"{field.Key}: {field.Value}");
}
