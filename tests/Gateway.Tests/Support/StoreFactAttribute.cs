using Xunit;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Gateway.Tests.Support;

/// <summary>
/// A fact of an abstract class that runs over each store by a small subclass: skipped, where the store's server is missing, for the
/// subclasses that are marked <see cref="OnRedisAttribute"/> or <see cref="OnPostgresAttribute"/> (see <see cref="RedisFactAttribute"/>).
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Gateway.Tests.Support.StoreFactDiscoverer", "Gateway.Tests")]
public sealed class StoreFactAttribute : FactAttribute;

/// <summary>The class runs on Redis.</summary>
/// <param name="ownServer">As in <see cref="RedisFactAttribute"/>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnRedisAttribute(bool ownServer = true) : Attribute
{
    public bool OwnServer => ownServer;
}

/// <summary>The class runs on PostgreSQL.</summary>
/// <param name="ownServer">As in <see cref="PostgresFactAttribute"/>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnPostgresAttribute(bool ownServer = true) : Attribute
{
    public bool OwnServer => ownServer;
}

/// <summary>The class moves clocks (<see cref="FakeClock"/>).</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class MovesClocksAttribute : Attribute;

public sealed class StoreFactDiscoverer(IMessageSink messages) : FactDiscoverer(messages)
{
    protected override IXunitTestCase CreateTestCase(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        new StoreTestCase(DiagnosticMessageSink, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod);
}

/// <summary>A theory in place of a fact; as <see cref="StoreFactAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Gateway.Tests.Support.StoreTheoryDiscoverer", "Gateway.Tests")]
public sealed class StoreTheoryAttribute : TheoryAttribute;

public sealed class StoreTheoryDiscoverer(IMessageSink messages) : TheoryDiscoverer(messages)
{
    protected override IEnumerable<IXunitTestCase> CreateTestCasesForDataRow(
        ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo theoryAttribute, object[] dataRow) =>
        [new StoreTestCase(DiagnosticMessageSink, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod, dataRow)];
}

public sealed class StoreTestCase : XunitTestCase
{
#pragma warning disable CS0618 // for the deserializer
    public StoreTestCase()
    {
    }
#pragma warning restore CS0618

    public StoreTestCase(IMessageSink messages, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method, object[]? arguments = null)
        : base(messages, display, options, method, arguments)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute) =>
        (Marked(typeof(OnRedisAttribute)) is { } onRedis ? RedisInstallation.SkipReason(OwnServer(onRedis)) : null)
        ?? (Marked(typeof(OnPostgresAttribute)) is { } onPostgres ? PostgresInstallation.SkipReason(OwnServer(onPostgres)) : null)
        ?? (Marked(typeof(MovesClocksAttribute)) is not null ? FakeClock.SkipReason : null);

    private static bool OwnServer(IAttributeInfo mark) => mark.GetNamedArgument<bool>(nameof(OnRedisAttribute.OwnServer));

    private IAttributeInfo? Marked(Type attribute) => TestMethod.TestClass.Class.GetCustomAttributes(attribute).SingleOrDefault();
}
