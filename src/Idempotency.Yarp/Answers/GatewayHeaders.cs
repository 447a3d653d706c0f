namespace Idempotency.Yarp;

/// <summary>Header fields that are the gateway's own: set by it, and removed from what clients send.</summary>
internal static class GatewayHeaders
{
    /// <summary><c>true</c> on every replay, as at Stripe.</summary>
    public const string Replayed = "Idempotent-Replayed";

    /// <summary>What a client should know about its key beside the backend's answer; see <see cref="IdempotencyStatus"/>.</summary>
    public const string Status = "Idempotency-Status";

    /// <summary>The number of the attempt, towards the backend, from the second on.</summary>
    public const string Attempt = "Idempotency-Attempt";

    /// <summary>Removes what a client has forged.</summary>
    public static void RemoveFrom(IHeaderDictionary headers)
    {
        headers.Remove(Replayed);
        headers.Remove(Status);
        headers.Remove(Attempt);
    }
}

/// <summary>Values of <see cref="GatewayHeaders.Status"/>.</summary>
internal static class IdempotencyStatus
{
    /// <summary>Forwarded without protection: the store is down and the policy says Bypass.</summary>
    public const string Bypassed = "bypassed";

    /// <summary>A true answer that could not be recorded (yet); retries may see <c>outcome-uncertain</c>.</summary>
    public const string NotRecorded = "not-recorded";

    /// <summary>A true answer that is not kept; retries see <c>answer-not-kept</c>.</summary>
    public const string AnswerNotKept = "answer-not-kept";

    /// <summary>The backend did not serve the request; the key is free and a retry is forwarded.</summary>
    public const string Released = "released";

    /// <summary>The backend does not know whether it served the request; retries see <c>outcome-uncertain</c>.</summary>
    public const string OutcomeUncertain = "outcome-uncertain";
}
