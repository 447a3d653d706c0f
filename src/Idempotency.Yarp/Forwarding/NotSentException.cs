namespace Idempotency.Yarp.Forwarding;

/// <summary>The lease that a request stands on could not be confirmed in time: it was not sent, no byte of it.</summary>
internal sealed class NotSentException() : HttpRequestException(HttpRequestError.Unknown, "The lease could not be confirmed before the first byte; nothing was sent.");
