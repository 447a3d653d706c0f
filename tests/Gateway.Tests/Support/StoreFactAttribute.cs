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

/// <summary>The class needs a Redis of its own.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnRedisAttribute : Attribute;

/// <summary>The class needs a PostgreSQL server of its own.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnPostgresAttribute : Attribute;

public sealed class StoreFactDiscoverer(IMessageSink messages) : FactDiscoverer(messages)
{
    protected override IXunitTestCase CreateTestCase(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        new StoreTestCase(DiagnosticMessageSink, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod);
}

public sealed class StoreTestCase : XunitTestCase
{
#pragma warning disable CS0618 // for the deserializer
    public StoreTestCase()
    {
    }
#pragma warning restore CS0618

    public StoreTestCase(IMessageSink messages, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method)
        : base(messages, display, options, method)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute) =>
        (IsMarked(typeof(OnRedisAttribute)) ? RedisInstallation.SkipReason(ownServer: true) : null)
        ?? (IsMarked(typeof(OnPostgresAttribute)) ? PostgresInstallation.SkipReason(ownServer: true) : null);

    private bool IsMarked(Type attribute) => TestMethod.TestClass.Class.GetCustomAttributes(attribute).Any();
}
