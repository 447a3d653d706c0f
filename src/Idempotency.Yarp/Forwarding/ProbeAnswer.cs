namespace Idempotency.Yarp.Forwarding;

/// <summary>What the backend said to a probe.</summary>
/// <param name="Status">Its status code.</param>
/// <param name="MediaType">Of its body, as the backend names it; null when it does not, or not well.</param>
/// <param name="Headers">What clients of the route would see of its fields.</param>
/// <param name="Body">The whole body; null when it is larger than asked for.</param>
/// <param name="Trace">Whether its end can be trusted.</param>
internal sealed record ProbeAnswer(int Status, string? MediaType, IHeaderDictionary Headers, byte[]? Body, ForwardTrace Trace);
