using System.Text;
using Gateway.Configuration;
using Gateway.Policies;
using Gateway.Storage;

namespace Gateway.Idempotency;

/// <summary>
/// Makes record ids: HMAC-SHA256(secret, policy, scope, key). Here the raw key and the credential end: nothing behind it sees them.
/// The secret is the configured one, or one that the store keeps for all instances.
/// </summary>
internal sealed class RecordIds(GatewaySettings settings, IIdempotencyStore store)
{
    private readonly byte[]? _configured = settings.Secret is null ? null : Encoding.UTF8.GetBytes(settings.Secret);

    /// <exception cref="StoreUnavailableException">The secret is in the store, and it cannot be asked.</exception>
    public async ValueTask<RecordId> CreateAsync(HttpRequest request, IdempotencyPolicy policy, string key) =>
        Create(_configured ?? await store.GetSecretAsync(CancellationToken.None), request, policy, key);

    internal static RecordId Create(byte[] secret, HttpRequest request, IdempotencyPolicy policy, string key)
    {
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add(policy.Name.ToUpperInvariant()); // names of a configuration do not distinguish case
        CallerScope.AddTo(ref hash, request, policy);
        hash.Add(key);
        return new RecordId(hash.HmacSha256(secret));
    }
}
