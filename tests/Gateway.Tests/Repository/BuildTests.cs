using System.Text.Json.Nodes;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>What the project file asks for is what is built: MSBuild takes a property that it does not know without a word.</summary>
public sealed class BuildTests
{
    /// <summary>For a process that shares its machine, as a sidecar does: one heap, small, whatever the number of cores.</summary>
    [Fact]
    public void TheGarbageCollector_IsTheWorkstations()
    {
        var options = JsonNode.Parse(File.ReadAllText(Path.ChangeExtension(GatewayProcess.Product, ".runtimeconfig.json")))!["runtimeOptions"]!["configProperties"]!;

        Assert.Equal((false, true), ((bool)options["System.GC.Server"]!, (bool)options["System.GC.Concurrent"]!));
    }
}
