using System.Buffers.Binary;

namespace Gateway.Tests.Telemetry;

/// <summary>Reads protobuf without its schema: enough to look at what an exporter sent.</summary>
internal static class ProtobufFields
{
    /// <summary>The fields of a message, in order.</summary>
    public static IReadOnlyList<ProtobufField> Of(ReadOnlyMemory<byte> message)
    {
        var fields = new List<ProtobufField>();
        while (!message.IsEmpty)
        {
            var tag = ReadVarint(ref message);
            var number = (int)(tag >> 3);
            switch (tag & 7)
            {
                case 0:
                    fields.Add(new(number, ReadVarint(ref message), default));
                    break;
                case 1:
                    fields.Add(new(number, BinaryPrimitives.ReadUInt64LittleEndian(Take(ref message, 8).Span), default));
                    break;
                case 2:
                    fields.Add(new(number, 0, Take(ref message, (int)ReadVarint(ref message))));
                    break;
                case 5:
                    fields.Add(new(number, BinaryPrimitives.ReadUInt32LittleEndian(Take(ref message, 4).Span), default));
                    break;
                default:
                    throw new InvalidDataException($"Field {number} has a type that is not in use any more.");
            }
        }

        return fields;
    }

    /// <summary>The inner messages at a path of field numbers, each level repeated.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> At(ReadOnlyMemory<byte> message, params int[] path) =>
        path.Aggregate((IEnumerable<ReadOnlyMemory<byte>>)[message], (level, number) => level.SelectMany(Of).Where(field => field.Number == number).Select(field => field.Bytes));

    private static ReadOnlyMemory<byte> Take(ref ReadOnlyMemory<byte> message, int length)
    {
        var taken = message[..length];
        message = message[length..];
        return taken;
    }

    private static ulong ReadVarint(ref ReadOnlyMemory<byte> message)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = Take(ref message, 1).Span[0];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }
    }
}
