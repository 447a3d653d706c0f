using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Makes record ids: HMAC-SHA256(secret, policy, scope, key). No store, log or metric sees the raw key or the credential.
/// The secret is the configured one, or one that the store keeps for all instances.
/// </summary>
internal class RecordIds(IdempotencySettings settings, IIdempotencyStore store)
{
    private readonly byte[]? _configured = settings.Secret is null ? null : Encoding.UTF8.GetBytes(settings.Secret);

    /// <exception cref="StoreUnavailableException">The secret is in the store, and it cannot be asked.</exception>
    public virtual async ValueTask<RecordId> CreateAsync(RequestValues values, IdempotencyPolicy policy, string key) =>
        Create(await GetSecretAsync(), values, policy, key);

    /// <summary>The id of a lock: the same for every caller.</summary>
    /// <exception cref="StoreUnavailableException">The secret is in the store, and it cannot be asked.</exception>
    public async ValueTask<RecordId> CreateForLockAsync(RequestValues values, IdempotencyPolicy policy, LockPolicy locked) =>
        CreateForLock(await GetSecretAsync(), values, policy, locked);

    /// <summary>The secret that everything which leaves the process is hashed or sealed with.</summary>
    public ValueTask<byte[]> GetSecretAsync() => _configured is null ? store.GetSecretAsync(CancellationToken.None) : ValueTask.FromResult(_configured);

    /// <summary>A key for the backend: the same for every try, different for different callers and policies (UUID version 8, RFC 9562).</summary>
    public static string DeriveKey(RecordId id)
    {
        var hash = new FieldHash(stackalloc byte[128]);
        hash.Add("forward-key");
        hash.Add(id.Digest);
        var bytes = hash.Sha256().ToArray().AsSpan(0, 16);
        bytes[6] = (byte)((bytes[6] & 0x0F) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(bytes, bigEndian: true).ToString();
    }

    /// <summary>The name of a body that is kept apart from its record: another for every claim.</summary>
    public static string NameOfBody(byte[] secret, RecordId id, ClaimToken token)
    {
        var hash = new FieldHash(stackalloc byte[256]);
        hash.Add("answer\0"); // no policy has that name
        hash.Add(id.Digest);
        hash.Add(token.Value.ToString("n"));
        return hash.HmacSha256(secret).ToString();
    }

    internal static RecordId Create(byte[] secret, RequestValues values, IdempotencyPolicy policy, string key)
    {
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add(policy.Name.ToUpperInvariant()); // names of a configuration do not distinguish case
        CallerScope.AddTo(ref hash, values, policy);
        hash.Add(key);
        return new RecordId(hash.HmacSha256(secret));
    }

    private static RecordId CreateForLock(byte[] secret, RequestValues values, IdempotencyPolicy policy, LockPolicy locked)
    {
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add("lock\0"); // no policy has that name
        hash.Add(policy.Name.ToUpperInvariant());
        foreach (var selector in locked.On)
        {
            foreach (var value in values.Of(selector))
            {
                hash.Add(value);
            }

            hash.Add(-1);
        }

        return new RecordId(hash.HmacSha256(secret));
    }
}
