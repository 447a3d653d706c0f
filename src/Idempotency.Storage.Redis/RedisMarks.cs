namespace Idempotency.Storage.Redis;

/// <summary>What stands beside the records of one bucket (epoch.lua).</summary>
/// <param name="Bucket">Whose.</param>
/// <param name="Epoch">On record.</param>
/// <param name="SetAt">When it was set, by the server's clock.</param>
/// <param name="Copy">Of the secret; empty where there is none.</param>
internal readonly record struct RedisMarks(int Bucket, string Epoch, long SetAt, byte[] Copy)
{
    /// <summary>It was set where there was none.</summary>
    public bool IsOfEmpty => Epoch.Contains("-e-", StringComparison.Ordinal);
}
