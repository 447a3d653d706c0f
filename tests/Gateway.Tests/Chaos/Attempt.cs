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

    /// <summary>The gateway's word on its key, beside the backend's answer.</summary>
    public string? Status => Answer?.Header("Idempotency-Status");

    /// <summary>Which execution the answer speaks of; null for answers that the gateway made itself.</summary>
    public int? ExecutionId => Answer?.Header(ExecutionHeader) is { } id ? int.Parse(id, CultureInfo.InvariantCulture) : null;

    public bool IsReplay => Answer is { IsReplay: true };

    /// <summary>The gateway said that the request was executed, and that its answer is not where it was kept.</summary>
    public bool IsLostAnswer => Problem == "answer-not-kept"
        && Answer!.Problem!.Value.TryGetProperty("original", out var original) && original.GetProperty("reason").GetString() == "Gone";

    /// <summary>The gateway said that the store does not have this answer.</summary>
    public bool IsNotRecorded => Status == "not-recorded";

    /// <summary>Says nothing about the key: no answer, or one of an instance that did not look, or could not.</summary>
    public bool SaysNothing => Answer is null || Problem is "store-unavailable" or "shutting-down" or "request-not-buffered";

    /// <summary>502 and 504 <c>outcome-uncertain</c> speak of this attempt, 409 of an earlier one.</summary>
    public Completion Completion =>
        Answer is null || (Problem == "outcome-uncertain" && Answer.Status != 409) ? Completion.Unknown
        : ExecutionId is not null ? Completion.Ok
        : Completion.Fail;

    /// <summary>Whether an execution may be this attempt's own.</summary>
    public bool MayHaveExecuted => Completion == Completion.Unknown || (Completion == Completion.Ok && !IsReplay);

    /// <summary>The gateway said that the key is free again.</summary>
    public bool IsReleased => Status == "released" || (Problem == "backend-unreachable" && !IsNotRecorded);

    /// <summary>
    /// Long enough for a renewal. One that crosses the release takes the key again, until the gateway notices and frees it once more.
    /// </summary>
    public bool MayBeRenewed => Ended - Sent > GatewayNode.Lease / 4;

    /// <summary>Whether something of it may still be on its way when it has ended.</summary>
    public bool LeavesItOpen => SaysNothing || Completion == Completion.Unknown || IsNotRecorded;

    public override string ToString()
    {
        var got = (Answer, ExecutionId) switch
        {
            (null, _) => Failure,
            (_, { } id) => $"{Answer.Status} of execution {id}{(IsReplay ? ", replayed" : "")}{(Status is null ? "" : $", {Status}")}",
            _ => $"{Answer.Status} {Problem}",
        };
        return $"{Completion.ToString().ToLowerInvariant(),-7} {Gateway}{(IsChanged ? ", changed body" : "")}: {got} (sent {Sent.TotalSeconds:F3})";
    }
}
