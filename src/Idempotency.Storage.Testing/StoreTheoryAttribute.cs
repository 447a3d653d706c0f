using Xunit;
using Xunit.Sdk;

namespace Idempotency.Storage.Testing;

/// <summary>A theory in place of a fact; as <see cref="StoreFactAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Idempotency.Storage.Testing.StoreTheoryDiscoverer", "Idempotency.Storage.Testing")]
public sealed class StoreTheoryAttribute : TheoryAttribute;
