namespace Idempotency.Yarp.Forwarding;

/// <summary>A GET of the gateway's own, on the way that a request went.</summary>
/// <param name="Origin">Where that request went.</param>
/// <param name="Target">Path and query, encoded.</param>
/// <param name="AsWritten">The path is the backend's: the route's transforms of paths have no part in it.</param>
/// <param name="Headers">Sent with it, instead of what the route would send under these names.</param>
internal sealed record ProbeRequest(ProbeOrigin Origin, string Target, bool AsWritten, IReadOnlyList<KeyValuePair<string, string>> Headers);
