using System.Diagnostics;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Puts the span of the outgoing request in the place of the client's, in <c>traceparent</c> and <c>tracestate</c>, and touches nothing else.
/// Baggage is the client's and goes on as it came: written anew from what was parsed, it would lose its properties and its spelling.
/// </summary>
internal sealed class SpanPropagator : DistributedContextPropagator
{
    private const string Parent = "traceparent";
    private const string State = "tracestate";

    public override IReadOnlyCollection<string> Fields { get; } = [Parent, State];

    public override void Inject(Activity? activity, object? carrier, PropagatorSetterCallback? setter)
    {
        if (activity is not { IdFormat: ActivityIdFormat.W3C, Id: { } id } || carrier is not HttpRequestMessage request)
        {
            return;
        }

        request.Headers.Remove(Parent);
        request.Headers.Remove(State);
        request.Headers.TryAddWithoutValidation(Parent, id);
        if (!string.IsNullOrEmpty(activity.TraceStateString))
        {
            request.Headers.TryAddWithoutValidation(State, activity.TraceStateString);
        }
    }

    /// <summary>Not of use in a client.</summary>
    public override void ExtractTraceIdAndState(object? carrier, PropagatorGetterCallback? getter, out string? traceId, out string? traceState) =>
        (traceId, traceState) = (null, null);

    /// <summary>Not of use in a client.</summary>
    public override IEnumerable<KeyValuePair<string, string?>>? ExtractBaggage(object? carrier, PropagatorGetterCallback? getter) => null;
}
