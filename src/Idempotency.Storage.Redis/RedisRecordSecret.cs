using System.Security.Cryptography;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// The secret of record ids that all instances share. Whoever comes first makes it; every bucket keeps a copy, so that no single server of a
/// Cluster is needed to know it, and whoever knows it puts it back where it was lost.
/// </summary>
internal sealed class RedisRecordSecret(string keyPrefix, string description, TimeSpan timeout, TimeProvider time, ILogger logger, CancellationToken stop)
{
    private readonly RedisKey _key = keyPrefix + "secret";
    private readonly RedisKeys _keys = new(keyPrefix);
    private volatile byte[]? _value;

    /// <summary>Null until it was read.</summary>
    public byte[]? Value => _value;

    /// <summary>Reads it, or makes it when there is none anywhere. To be called when claims are about to be allowed.</summary>
    /// <param name="database">Where it stands.</param>
    /// <param name="copies">Those that were seen in buckets.</param>
    public async Task RequireAsync(IDatabase database, IEnumerable<byte[]> copies)
    {
        // Two looks may come here at a time: what the store has counts, so that both read the same.
        _value ??= await ReadAsync(database) ?? copies.FirstOrDefault() ?? await FindCopyAsync(database) ?? await MakeAsync(database);
    }

    /// <summary>Puts it back where it was lost; adopts another's when that was faster. Its own server being silent harms nobody.</summary>
    public async Task KeepAsync(IDatabase database)
    {
        try
        {
            if (_value is not { } known)
            {
                return;
            }

            await WithinAsync(database.StringSetAsync(_key, known, expiry: null, When.NotExists, CommandFlags.DemandMaster));
            if (await ReadAsync(database) is { } secret && !secret.AsSpan().SequenceEqual(known))
            {
                StoreLog.SecretChanged(logger, description);
                _value = secret;
            }
        }
        catch (Exception e) when (e is RedisException or TimeoutException or ObjectDisposedException or OperationCanceledException)
        {
            // Asked again a second later.
        }
    }

    private async Task<byte[]?> ReadAsync(IDatabase database)
    {
        try
        {
            return await WithinAsync(database.StringGetAsync(_key, CommandFlags.DemandMaster));
        }
        catch (Exception e) when (e is RedisConnectionException or TimeoutException)
        {
            return null; // its server is silent; the copies may know, and nothing is made without it
        }
    }

    /// <summary>Null only when every bucket was asked and none has it.</summary>
    private async Task<byte[]?> FindCopyAsync(IDatabase database)
    {
        var copies = await WithinAsync(Task.WhenAll(
            Enumerable.Range(0, RecordId.Buckets).Select(bucket => database.HashGetAsync(_keys.Marks(bucket), "s", CommandFlags.DemandMaster))));
        return Array.Find(copies, copy => !copy.IsNull);
    }

    private async Task<byte[]> MakeAsync(IDatabase database)
    {
        RedisValue mine = RandomNumberGenerator.GetBytes(Digest.Size);
        await WithinAsync(database.StringSetAsync(_key, mine, expiry: null, When.NotExists, CommandFlags.DemandMaster));
        return (byte[]?)await WithinAsync(database.StringGetAsync(_key, CommandFlags.DemandMaster))
            ?? throw new StoreUnavailableException("Redis returned no secret right after it was set");
    }

    private Task<T> WithinAsync<T>(Task<T> call) => call.WaitAsync(timeout, time, stop);
}
