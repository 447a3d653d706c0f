using System.Runtime.InteropServices;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>How the scripts take their arguments.</summary>
internal static class RedisArguments
{
    /// <summary>In milliseconds.</summary>
    public static long Of(TimeSpan span) => (long)span.TotalMilliseconds;

    /// <summary>Without a copy where the memory is a whole array, as records are.</summary>
    public static RedisValue Of(ReadOnlyMemory<byte> bytes) =>
        MemoryMarshal.TryGetArray(bytes, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length ? segment.Array : bytes.ToArray();
}
