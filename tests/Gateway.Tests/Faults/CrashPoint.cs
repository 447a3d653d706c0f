namespace Gateway.Tests.Faults;

/// <summary>What a crash at one point may leave behind, and nothing else.</summary>
/// <param name="Name">As in <c>TestHooks.CrashPoint</c>.</param>
/// <param name="What">Where it is on a request's way.</param>
/// <param name="LeastArrivals">How many times the backend has executed the request after the crash, at least.</param>
/// <param name="MostArrivals">And at most.</param>
/// <param name="Outcomes">How retries end, once the lease is over: <c>executed</c>, <c>replay</c> or <c>outcome-uncertain</c>.</param>
internal sealed record CrashPoint(string Name, string What, int LeastArrivals, int MostArrivals, params IReadOnlyList<string> Outcomes)
{
    public const string Executed = "executed";
    public const string Replay = "replay";
    public const string Uncertain = "outcome-uncertain";

    public static IReadOnlyDictionary<string, CrashPoint> All { get; } = ((CrashPoint[])
    [
        new("P0", "before the claim is sent", 0, 0, Executed),
        new("P1", "the claim is sent, its reply not seen", 0, 0, Executed, Uncertain),
        new("P2", "claimed, nothing sent to the backend", 0, 0, Uncertain),
        new("P3", "the request is being sent", 0, 1, Uncertain),
        new("P4", "a part of the answer is there", 1, 1, Uncertain),
        new("P5", "the answer is there, its record not sent", 1, 1, Uncertain),
        new("P6", "the record is sent, its acknowledgement not seen", 1, 1, Replay, Uncertain),
        new("P7", "recorded, the client not answered", 1, 1, Replay),
    ]).ToDictionary(point => point.Name);
}
