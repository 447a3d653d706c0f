namespace Gateway.Tests.Support;

/// <summary>Something that the honest backend did.</summary>
/// <param name="Path">Where it was asked.</param>
/// <param name="Key">Which operation it was, from <c>X-Operation</c>.</param>
/// <param name="Attempt">What the gateway called it: 1 where it said nothing.</param>
/// <param name="Gateway">Who asked, from <c>X-Gateway</c>; empty where nobody said so.</param>
/// <param name="At">When it began, on the backend's clock.</param>
/// <param name="Overlaps">Another request to the same path was being worked on.</param>
internal sealed record HonestExecution(string Path, string Key, int Attempt, string Gateway, TimeSpan At, bool Overlaps);
