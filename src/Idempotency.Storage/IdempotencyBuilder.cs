using Microsoft.Extensions.DependencyInjection;

namespace Idempotency.Storage;

/// <summary>What <c>AddIdempotency</c> returns, for the package of a store to add itself to: exactly one of them must.</summary>
public sealed class IdempotencyBuilder
{
    internal IdempotencyBuilder(IServiceCollection services) => Services = services;

    /// <summary>The host's services.</summary>
    public IServiceCollection Services { get; }

    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    internal IdempotencyBuilder UseStore<TStore>(StoreSettings settings)
        where TStore : class, IIdempotencyStore
    {
        if (Services.Any(service => service.ServiceType == typeof(IIdempotencyStore)))
        {
            throw new InvalidOperationException("There is a store of idempotency keys already: keep one of UseSqlite, UseRedis and UsePostgres.");
        }

        Services.AddSingleton(settings);
        Services.AddSingleton<IIdempotencyStore, TStore>();
        return this;
    }
}
