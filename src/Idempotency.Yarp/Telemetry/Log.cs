using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;

namespace Idempotency.Yarp;

/// <summary>Log events of a keyed request: ids 1000 to 1099. Records are named by eight digits of their id, keys never.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Debug, "{Record} {Policy}: first request answered {Status}, {Outcome}.")]
    public static partial void Forwarded(ILogger logger, string record, string policy, int status, OutcomeKind outcome);

    [LoggerMessage(1001, LogLevel.Debug, "{Record} {Policy}: replayed {Status}.")]
    public static partial void Replayed(ILogger logger, string record, string policy, int status);

    [LoggerMessage(1003, LogLevel.Warning, "{Record} {Policy}: the outcome is uncertain ({Error}). The key answers outcome-uncertain until its retention ends.")]
    public static partial void Uncertain(ILogger logger, string record, string policy, string error, Exception? exception);

    [LoggerMessage(1004, LogLevel.Warning, "{Record} {Policy}: the backend answered {Status}, and what became of it is not on record: {What}.")]
    public static partial void NotRecorded(ILogger logger, string record, string policy, int status, string what);

    [LoggerMessage(1005, LogLevel.Information, "{Record} {Policy}: nothing was sent ({Error}). The key is: {Key}.")]
    public static partial void NeverSent(ILogger logger, string record, string policy, string error, ReleasedKey key);

    [LoggerMessage(1006, LogLevel.Error, "{Record} {Policy}: the recorded answer cannot be used ({Parse}). Nothing is forwarded.")]
    public static partial void UnusableRecord(ILogger logger, string record, string policy, RecordParse parse);

    [LoggerMessage(1007, LogLevel.Information, "{Policy}: forwarded without protection, because the store is down and the policy says Bypass.")]
    public static partial void Bypassed(ILogger logger, string policy);

    [LoggerMessage(1008, LogLevel.Debug, "{Policy}: observed; would be {Would}.")]
    public static partial void Observed(ILogger logger, string policy, string would);

    [LoggerMessage(1009, LogLevel.Information, "{Record} {Policy}: asked the backend what became of the first request; it answered {Status}: {Verdict}.")]
    public static partial void Probed(ILogger logger, string record, string policy, string status, ProbeVerdict verdict);

    [LoggerMessage(1010, LogLevel.Error, "Looking for uncertain keys failed; it is tried again.")]
    public static partial void SweepFailed(ILogger logger, Exception exception);

    [LoggerMessage(1011, LogLevel.Information, "{Record}: {Method} on route {Route} was refused, {Problem}: {Reason} Trace {Trace}.")]
    public static partial void Refused(ILogger logger, string record, string route, string method, string problem, string reason, string trace);

    [LoggerMessage(1012, LogLevel.Information, "Route {Route}: {Count} more requests were refused within a second; they have no line.")]
    public static partial void RefusalsLeftOut(ILogger logger, string route, int count);

    [LoggerMessage(1013, LogLevel.Warning, "Route {Route}: callers send {What}, which the Scope of policy {Policy} does not look at ({Scope}). Two callers who differ in that alone share their keys, and one may get the other's answer. Name in Scope what says who the caller is, such as cookie:NAME or header:NAME.")]
    public static partial void ScopeOverlooks(ILogger logger, string route, string policy, string what, string scope);

    [LoggerMessage(1014, LogLevel.Warning, "{Record}: its lease ended {Seconds} s ago, and nobody has said what became of its request: the gateway that sent it was killed, or is cut off. The key answers outcome-uncertain until its retention ends, unless a probe or the gateway tells more.")]
    public static partial void Abandoned(ILogger logger, string record, long seconds);

    [LoggerMessage(1015, LogLevel.Error, "Counting uncertain keys failed; it is tried again.")]
    public static partial void CountFailed(ILogger logger, Exception exception);

    [LoggerMessage(1016, LogLevel.Warning, "Uncertain keys could not be looked for in five minutes: {Reason}. Those of killed gateways are not told of meanwhile.")]
    public static partial void CannotCount(ILogger logger, string reason);

    [LoggerMessage(1020, LogLevel.Error, "{Record} {Policy}: the body that the answers' server gave is not the one that was recorded. It is not used; retries get answer-not-kept.")]
    public static partial void BodyAltered(ILogger logger, string record, string policy);

    [LoggerMessage(1021, LogLevel.Information, "{Record} {Policy}: the body of the recorded answer is gone from the answers' server; its retry gets answer-not-kept.")]
    public static partial void BodyGone(ILogger logger, string record, string policy);

    [LoggerMessage(1022, LogLevel.Warning, "{Record} {Policy}: the answers' server did not take a body of {Length} bytes, which is too large for the store; retries get answer-not-kept.")]
    public static partial void BodyDropped(ILogger logger, string record, string policy, int length);
}
