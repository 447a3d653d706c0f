using System.ComponentModel;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Idempotency.Storage.Testing;

/// <summary>Asks the class under test, and not the one that declares the test, for what it needs.</summary>
internal sealed class StoreTestCase : XunitTestCase
{
#pragma warning disable CS0618 // for the deserializer
    [EditorBrowsable(EditorBrowsableState.Never)]
    public StoreTestCase()
    {
    }
#pragma warning restore CS0618

    public StoreTestCase(IMessageSink messages, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method, object[]? arguments = null)
        : base(messages, display, options, method, arguments)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute) =>
        TestMethod.TestClass.Class.GetCustomAttributes(typeof(StoreRequirementAttribute))
            .Select(requirement => requirement.GetNamedArgument<string?>(nameof(StoreRequirementAttribute.SkipReason)))
            .FirstOrDefault(reason => reason is not null)
        ?? base.GetSkipReason(factAttribute);
}
