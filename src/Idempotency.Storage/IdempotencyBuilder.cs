using Microsoft.Extensions.DependencyInjection;

namespace Idempotency.Storage;

/// <summary>What <c>AddIdempotency</c> returns, for the package of a store to add itself to: exactly one of them must.</summary>
public sealed class IdempotencyBuilder
{
    internal IdempotencyBuilder(IServiceCollection services) => Services = services;

    /// <summary>The host's services.</summary>
    public IServiceCollection Services { get; }

    /// <summary>
    /// Adds a store of one's own. The container makes one instance of it, and disposes of it with the host; what its constructor asks for has to be in
    /// <see cref="Services"/> (<see cref="TimeProvider"/> and logging are).
    /// </summary>
    /// <typeparam name="TStore">The store: <c>StoreContractTests</c> of the package <c>Idempotency.Storage.Testing</c> says whether it is one.</typeparam>
    /// <param name="timeout">
    /// The longest that one call of it takes, which is the store's to keep; a second when null. Leases that are too short for it are a mistake in the policies.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="timeout"/> is not positive.</exception>
    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    public IdempotencyBuilder UseStore<TStore>(TimeSpan? timeout = null)
        where TStore : class, IIdempotencyStore
    {
        if (timeout is { } given)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(given, TimeSpan.Zero, nameof(timeout));
        }

        var settings = new StoreSettings();
        return UseStore<TStore>(settings with { Timeout = timeout ?? settings.Timeout });
    }

    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    internal IdempotencyBuilder UseStore<TStore>(StoreSettings settings)
        where TStore : class, IIdempotencyStore
    {
        if (Services.Any(service => service.ServiceType == typeof(IIdempotencyStore)))
        {
            throw new InvalidOperationException("There is a store of idempotency keys already: keep one of UseSqlite, UseRedis, UsePostgres and UseStore.");
        }

        Services.AddSingleton(settings);
        Services.AddSingleton<IIdempotencyStore, TStore>();
        return this;
    }
}
