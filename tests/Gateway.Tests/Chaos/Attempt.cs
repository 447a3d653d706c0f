using System.Globalization;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>One request as its client saw it. Times are since the start of the run.</summary>
/// <param name="Gateway">Which gateway was asked.</param>
/// <param name="IsChanged">Sent with the operation's other body.</param>
/// <param name="Answer">Null when none came: what the request did is unknown, never "nothing".</param>
/// <param name="Failure">Why there is no answer.</param>
internal sealed record Attempt(string Gateway, bool IsChanged, TimeSpan Sent, TimeSpan Ended, Answer? Answer, string? Failure = null)
{
    public const string ExecutionHeader = "X-Execution";

    public string? Problem => Answer?.ProblemType;

    /// <summary>Which execution the answer speaks of; null for answers that the gateway made itself.</summary>
    public int? ExecutionId => Answer?.Header(ExecutionHeader) is { } id ? int.Parse(id, CultureInfo.InvariantCulture) : null;

    public bool IsReplay => Answer is { IsReplay: true };

    /// <summary>The gateway said that the store does not have this answer.</summary>
    public bool IsNotRecorded => Answer?.Header("Idempotency-Status") == "not-recorded";

    /// <summary>Says nothing about the key: no answer, or one of an instance that did not look, or could not.</summary>
    public bool SaysNothing => Answer is null || Problem is "store-unavailable" or "shutting-down" or "request-not-buffered";

    public override string ToString()
    {
        var got = (Answer, ExecutionId) switch
        {
            (null, _) => Failure,
            (_, { } id) => $"{Answer.Status} of execution {id}{(IsReplay ? ", replayed" : "")}{(IsNotRecorded ? ", not recorded" : "")}",
            _ => $"{Answer.Status} {Problem}",
        };
        return $"client, {Gateway}{(IsChanged ? ", changed body" : "")}: {got} (sent {Sent.TotalSeconds:F3})";
    }
}
