namespace Idempotency.Yarp;

/// <summary>What was read of a body already, then the rest of it.</summary>
/// <param name="prefix">Must stay as it is.</param>
/// <param name="rest">Not disposed.</param>
internal sealed class PrefixedBody(ReadOnlyMemory<byte> prefix, Stream rest) : ReadOnlyBody
{
    private int _position;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var left = prefix.Length - _position;
        if (left == 0 || buffer.IsEmpty)
        {
            return rest.ReadAsync(buffer, cancellationToken);
        }

        var count = Math.Min(left, buffer.Length);
        prefix.Slice(_position, count).CopyTo(buffer);
        _position += count;
        return ValueTask.FromResult(count);
    }
}
