namespace Idempotency.Storage;

/// <summary>A record's bytes are not what this version of the gateway can trust: the request fails closed.</summary>
internal sealed class RecordFormatException(string message) : FormatException(message);
