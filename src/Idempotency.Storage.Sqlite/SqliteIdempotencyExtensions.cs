using Idempotency.Storage;
using Idempotency.Storage.Sqlite;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the store of this package.</summary>
public static class SqliteIdempotencyExtensions
{
    /// <summary>Keeps keys and answers in a SQLite file, for one machine: several processes may share it.</summary>
    /// <param name="builder">Of <c>AddIdempotency</c>.</param>
    /// <param name="path">The file, created with its folder when missing. Relative to the working directory.</param>
    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    public static IdempotencyBuilder UseSqlite(this IdempotencyBuilder builder, string path)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(path);
        var settings = new StoreSettings { Kind = StoreKind.Embedded, Embedded = new() { Path = path } };
        return builder.UseStore<EmbeddedStore>(settings);
    }
}
