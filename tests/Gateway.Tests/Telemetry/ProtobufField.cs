namespace Gateway.Tests.Telemetry;

/// <summary>One field of a protobuf message, as it goes over the wire.</summary>
/// <param name="Number">Of the field.</param>
/// <param name="Value">Of a number, whatever its encoding; 0 for bytes.</param>
/// <param name="Bytes">Of text, bytes and inner messages; empty for numbers.</param>
internal readonly record struct ProtobufField(int Number, ulong Value, ReadOnlyMemory<byte> Bytes);
