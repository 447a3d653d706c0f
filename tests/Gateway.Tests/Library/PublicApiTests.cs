using System.Reflection;
using Gateway.Tests.Repository;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Idempotency.Storage.Redis;
using Idempotency.Storage.Sqlite;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.Library;

/// <summary>What other people's code may stand on is written down: a change of it is seen, and thought about, before it is released.</summary>
public sealed class PublicApiTests
{
    private const string Listed = "docs/public-api.txt";

    private static readonly Type[] OneOfEach = [typeof(IIdempotencyStore), typeof(EmbeddedStore), typeof(RedisStore), typeof(PostgresStore), typeof(StoreContractTests), typeof(IdempotencyMiddleware)];

    [Fact]
    public void TheSurface_IsTheOneThatIsWrittenDown()
    {
        var surface = OneOfEach.SelectMany(type => type.Assembly.GetExportedTypes()).OrderBy(type => type.FullName, StringComparer.Ordinal).SelectMany(Lines).ToList();
        if (!File.Exists(RepositoryFiles.PathOf(Listed)))
        {
            File.WriteAllLines(RepositoryFiles.PathOf(Listed), surface);
            Assert.Fail($"{Listed} was written anew; look at what has changed.");
        }

        Assert.Equal(RepositoryFiles.Read(Listed).Split('\n', StringSplitOptions.RemoveEmptyEntries), surface);
    }

    private static IEnumerable<string> Lines(Type type) =>
        type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
            .Where(member => member is not MethodInfo { IsSpecialName: true } && IsSeen(member))
            .Select(member => $"  {member}")
            .Order(StringComparer.Ordinal)
            .Prepend($"{type.Assembly.GetName().Name}: {type.FullName}");

    /// <summary>By everybody, or by classes that are derived.</summary>
    private static bool IsSeen(MemberInfo member) => member switch
    {
        MethodBase method => method.IsPublic || (method.DeclaringType!.IsAbstract && method.IsFamily),
        FieldInfo field => field.IsPublic,
        PropertyInfo property => IsSeen(property.GetMethod ?? property.SetMethod!),
        EventInfo @event => IsSeen(@event.AddMethod!),
        _ => false,
    };
}
