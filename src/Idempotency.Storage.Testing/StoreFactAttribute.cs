using Xunit;
using Xunit.Sdk;

namespace Idempotency.Storage.Testing;

/// <summary>A fact that is skipped where a <see cref="StoreRequirementAttribute"/> of its class says so.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Idempotency.Storage.Testing.StoreFactDiscoverer", "Idempotency.Storage.Testing")]
public sealed class StoreFactAttribute : FactAttribute;
