using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Idempotency.Storage.Redis;
using Idempotency.Storage.Sqlite;
using Idempotency.Yarp;
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

    /// <summary>It sees what is public, as other people's stores do.</summary>
    [Fact]
    public void TheContractOfStores_StandsOnStorage_AndIsNoFriendOfIt()
    {
        var testing = typeof(StoreContractTests).Assembly;

        Assert.Equal(["Idempotency.Storage"], ReferencesOf(testing));
        Assert.DoesNotContain(Storage.GetCustomAttributes<InternalsVisibleToAttribute>(), friend => friend.AssemblyName == testing.GetName().Name);
    }

    [Fact]
    public void TheGateway_KnowsNoClientOfAStore() =>
        Assert.DoesNotContain(ReferencesOf(typeof(CommandLine).Assembly), name => name is "StackExchange.Redis" or "Npgsql" or "Microsoft.Data.Sqlite" or "SQLitePCLRaw.core");

    [Fact]
    public void TheLibrary_StandsOnYarpAndStorage_AndNothingElseHeavy() =>
        Assert.DoesNotContain(ReferencesOf(typeof(IdempotencyMiddleware).Assembly), name =>
            !name.StartsWith("Microsoft.AspNetCore.", StringComparison.Ordinal) && name is not ("Yarp.ReverseProxy" or "Idempotency.Storage"));

    [Theory]
    [InlineData("Idempotency.Yarp", "Yarp.ReverseProxy")]
    [InlineData("Idempotency.Storage", "Microsoft.Extensions.Hosting.Abstractions", "Microsoft.Extensions.Logging.Abstractions", "System.IO.Hashing")]
    [InlineData("Idempotency.Storage.Sqlite", "Microsoft.Data.Sqlite", "SQLitePCLRaw.bundle_e_sqlite3", "SQLitePCLRaw.core", "SourceGear.sqlite3")]
    [InlineData("Idempotency.Storage.Redis", "Microsoft.Extensions.Caching.StackExchangeRedis", "StackExchange.Redis")]
    [InlineData("Idempotency.Storage.Postgres", "Npgsql")]
    [InlineData("Idempotency.Storage.Testing", "xunit.assert", "xunit.extensibility.execution")]
    public void AProject_AsksForItsPackages_AndNoOthers(string project, params string[] packages) =>
        Assert.Equal(packages, ItemsOf(project, "PackageReference").Order(StringComparer.Ordinal));

    [Fact]
    public void Namespaces_FollowTheProjects()
    {
        var files = RepositoryFiles.Find("src", "*.cs").Where(file => file.StartsWith("src/Idempotency.Storage", StringComparison.Ordinal) && !file.EndsWith("/TestHooks.cs", StringComparison.Ordinal) && !file.EndsWith("Extensions.cs", StringComparison.Ordinal));
        Assert.All(files, file => Assert.Contains($"\nnamespace {file.Split('/')[1]};", $"\n{RepositoryFiles.Read(file)}", StringComparison.Ordinal));
    }

    /// <summary>The image restores from what was copied before the source.</summary>
    [Fact]
    public void TheDockerfile_CopiesEveryProjectOfTheGateway_WithItsLockFile()
    {
        var projects = new HashSet<string>();
        Add("Gateway");
        var lines = RepositoryFiles.Read("Dockerfile").Split('\n');

        Assert.All(projects, project => Assert.Contains($"COPY src/{project}/{project}.csproj src/{project}/packages.lock.json src/{project}/", lines));

        void Add(string project)
        {
            if (projects.Add(project))
            {
                foreach (var reference in ItemsOf(project, "ProjectReference"))
                {
                    Add(Path.GetFileNameWithoutExtension(reference));
                }
            }
        }
    }

    private static IEnumerable<string> ItemsOf(string project, string item) =>
        XDocument.Parse(RepositoryFiles.Read($"src/{project}/{project}.csproj")).Descendants(item).Select(element => element.Attribute("Include")!.Value);

    private static IEnumerable<string> ReferencesOf(Assembly assembly) =>
        assembly.GetReferencedAssemblies().Select(reference => reference.Name!)
            .Where(name => name.StartsWith("Idempotency.", StringComparison.Ordinal) || name.StartsWith("Gateway", StringComparison.Ordinal) || Heavy.Any(heavy => name.StartsWith(heavy, StringComparison.Ordinal)));
}
