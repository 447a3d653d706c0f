using System.Reflection;
using Gateway.Forwarding;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Idempotency.Storage.Redis;
using Idempotency.Storage.Sqlite;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>What each project of the product stands on, as the compiler wrote it down: who takes one store takes none of the others' clients.</summary>
public sealed class ProjectTests
{
    private static readonly Assembly Storage = typeof(IIdempotencyStore).Assembly;
    private static readonly string[] Heavy = ["Microsoft.AspNetCore.", "Yarp.", "StackExchange.Redis", "Npgsql", "SQLitePCLRaw.", "Microsoft.Data.Sqlite", "OpenTelemetry", "System.CommandLine"];

    [Fact]
    public void Storage_StandsOnNothingOfOurs_AndNothingHeavy() => Assert.Empty(ReferencesOf(Storage));

    [Theory]
    [InlineData(typeof(EmbeddedStore), "Microsoft.Data.Sqlite", "SQLitePCLRaw.core")]
    [InlineData(typeof(RedisStore), "StackExchange.Redis")]
    [InlineData(typeof(PostgresStore), "Npgsql")]
    public void AStore_StandsOnStorage_AndOnItsOwnClient(Type store, params string[] clients) =>
        Assert.Equal(clients.Append("Idempotency.Storage").Order(StringComparer.Ordinal), ReferencesOf(store.Assembly).Order(StringComparer.Ordinal));

    [Fact]
    public void TheGateway_KnowsNoClientOfAStore() =>
        Assert.DoesNotContain(ReferencesOf(typeof(SingleSendHandler).Assembly), name => name is "StackExchange.Redis" or "Npgsql" or "Microsoft.Data.Sqlite" or "SQLitePCLRaw.core");

    private static IEnumerable<string> ReferencesOf(Assembly assembly) =>
        assembly.GetReferencedAssemblies().Select(reference => reference.Name!)
            .Where(name => name.StartsWith("Idempotency.", StringComparison.Ordinal) || name.StartsWith("Gateway", StringComparison.Ordinal) || Heavy.Any(heavy => name.StartsWith(heavy, StringComparison.Ordinal)));
}
