using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp;

/// <summary>What is known after a forward, and so what becomes of the claim.</summary>
internal enum OutcomeKind
{
    /// <summary>The backend's whole answer is here: record it.</summary>
    Answered,

    /// <summary>Executed, but the answer cannot be kept: tombstone.</summary>
    NotKept,

    /// <summary>The backend says that it did not serve the request (policy): release, and pass its answer on.</summary>
    Refused,

    /// <summary>Provably not sent: release.</summary>
    NeverSent,

    /// <summary>Not forwarded; something in the pipeline answered in the backend's place: release, and pass that answer on.</summary>
    NotForwarded,

    /// <summary>The backend answered, but not for good: mark uncertain, and pass its answer on.</summary>
    UncertainAnswer,

    /// <summary>Sent, and no usable answer came: mark uncertain.</summary>
    Uncertain,
}

/// <summary>What one forward left behind.</summary>
/// <param name="Error">YARP's error, if it reported one; then the response's status is YARP's, not the backend's.</param>
/// <param name="Failure">The exception behind it, or one that escaped from the pipeline.</param>
/// <param name="Trace">What the client below YARP saw.</param>
/// <param name="Status">The status that stands in the response now: the backend's, or YARP's own.</param>
/// <param name="NoStore">The backend forbade storing its answer.</param>
/// <param name="IsReleasingRedirect">It redirects to where the policy knows that nothing was done.</param>
internal readonly record struct ForwardReport(ForwarderError Error, Exception? Failure, ForwardTrace Trace, int Status, bool NoStore, bool IsReleasingRedirect = false);

/// <param name="Kind">What is known.</param>
/// <param name="Reason">Why the answer is not kept, when <see cref="OutcomeKind.NotKept"/>.</param>
/// <param name="TimedOut">Whether no answer came in time (504 instead of 502).</param>
internal readonly record struct ForwardOutcome(OutcomeKind Kind, TombstoneReason Reason = TombstoneReason.None, bool TimedOut = false)
{
    /// <summary>The backend is not at it any more, as far as anyone knows.</summary>
    public bool IsBackendDone => Kind is not (OutcomeKind.Uncertain or OutcomeKind.UncertainAnswer);

    /// <summary>
    /// Classifies one forward. With <see cref="SingleSendHandler"/> below, a connection error means that nothing was sent; without it, nobody
    /// knows. When in doubt: uncertain.
    /// </summary>
    public static ForwardOutcome Classify(in ForwardReport report, IdempotencyPolicy policy)
    {
        // It may have arrived by another client, or by an earlier try of whoever stands above ours.
        var outcome = ByError(report, policy);
        return outcome.Kind is OutcomeKind.NeverSent or OutcomeKind.NotForwarded && report.Trace.MayHaveArrived ? new(OutcomeKind.Uncertain) : outcome;
    }

    /// <summary>What an answer of the backend means; for one that is passed through unkept, as soon as it has begun.</summary>
    /// <param name="status">The backend's.</param>
    /// <param name="isReleasingRedirect">It redirects to where the policy knows that nothing was done.</param>
    /// <param name="policy">What statuses mean.</param>
    /// <param name="reason">Why it is not kept; None when it can be.</param>
    public static ForwardOutcome OfAnswer(int status, bool isReleasingRedirect, IdempotencyPolicy policy, TombstoneReason reason) =>
        isReleasingRedirect || policy.ReleaseStatuses.Contains(status) ? new(OutcomeKind.Refused)
        : policy.UncertainStatuses.Contains(status) ? new(OutcomeKind.UncertainAnswer)
        : reason != TombstoneReason.None ? new(OutcomeKind.NotKept, reason)
        : new(OutcomeKind.Answered);

    private static ForwardOutcome ByError(in ForwardReport report, IdempotencyPolicy policy) => report.Error switch
    {
        ForwarderError.None => report.Failure is not null ? new(OutcomeKind.Uncertain)
            : report.Trace.Meaning is { } status ? OfAnswer(status, report.IsReleasingRedirect, policy, ReasonNotToKeep(report.Trace, report.NoStore))
            : new(OutcomeKind.NotForwarded),

        ForwarderError.RequestCreation or ForwarderError.NoAvailableDestinations => new(OutcomeKind.NeverSent),
        ForwarderError.Request => new(SingleSendHandler.IsBeforeSending(report.Failure) ? OutcomeKind.NeverSent : OutcomeKind.Uncertain),
        ForwarderError.RequestTimedOut => new(OutcomeKind.Uncertain, TimedOut: true),

        // Executed: the backend's header section was read and could not be passed on.
        ForwarderError.ResponseHeaders => report.Trace.Status is null ? new(OutcomeKind.Uncertain) : new(OutcomeKind.NotKept, TombstoneReason.Headers),

        // The client's abort is detached: only the end of the process cancels a forward.
        ForwarderError.RequestCanceled or ForwarderError.RequestBodyCanceled => new(OutcomeKind.Uncertain, TimedOut: true),

        // Must not occur, as the body is read first. If it does, nothing is known.
        ForwarderError.RequestBodyClient => new(OutcomeKind.Uncertain),

        // It answered without reading the whole request (an early 400 or 413), and YARP let the whole answer stand: true, but not final.
        ForwarderError.RequestBodyDestination when report.Status == report.Trace.Status && report.Status is not (502 or 504) => new(OutcomeKind.UncertainAnswer),

        // The backend may have acted on a part of the request; an incomplete answer must not be used (RFC 9111, section 3.3).
        ForwarderError.RequestBodyDestination or ForwarderError.ResponseBodyDestination
            or ForwarderError.ResponseBodyCanceled or ForwarderError.ResponseBodyClient => new(OutcomeKind.Uncertain),

        // Upgrades are refused before anything is claimed.
        _ => new(OutcomeKind.Uncertain),
    };

    /// <summary>Why a whole answer cannot be kept; None when it can.</summary>
    public static TombstoneReason ReasonNotToKeep(ForwardTrace trace, bool noStore) =>
        trace.Status == 206 ? TombstoneReason.Partial
        : trace.Unframed ? TombstoneReason.Unframed
        : trace.HasTrailers ? TombstoneReason.Trailers
        : noStore ? TombstoneReason.NoStore
        : TombstoneReason.None;
}
