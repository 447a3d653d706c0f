namespace Idempotency.Yarp;

/// <summary>The lease that a request stands on ended while its body was being sent: a part of it went out, and the rest does not.</summary>
internal sealed class LeaseOverException() : IOException("The lease ended while the body was being sent; the rest was not sent.");
