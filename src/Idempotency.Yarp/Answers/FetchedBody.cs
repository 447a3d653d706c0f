namespace Idempotency.Yarp;

/// <summary>How fetching a body that is kept apart ended.</summary>
internal enum BodyFetch
{
    /// <summary>The answers' server did not answer: perhaps it will.</summary>
    Unreachable,

    /// <summary>It is, byte for byte, what was recorded.</summary>
    Read,

    /// <summary>The answers' server has it no more.</summary>
    Gone,

    /// <summary>The answers' server has something else under its name.</summary>
    Altered,
}

/// <param name="End">How it ended.</param>
/// <param name="Body">When <see cref="BodyFetch.Read"/>.</param>
internal readonly record struct FetchedBody(BodyFetch End, ReadOnlyMemory<byte> Body = default);
