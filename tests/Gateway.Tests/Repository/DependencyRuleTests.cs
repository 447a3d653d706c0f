using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>Who may use whom; ARCHITECTURE.md has the table.</summary>
public sealed class DependencyRuleTests
{
    private const string Root = "src/Gateway/";

    [Fact]
    public void Gateway_KeepsItsDependencyRule() =>
        Assert.Empty(
            from file in RepositoryFiles.Find(Root, "*.cs")
            from violation in DependencyRules.Violations(file[Root.Length..], RepositoryFiles.Read(file))
            select violation);

    [Theory]
    [InlineData("Policies/A.cs", "using Gateway.Storage;", "Policies must not use Storage")]
    [InlineData("Policies/A.cs", "using static Gateway.Telemetry.GatewayMetrics;", "Policies must not use Telemetry")]
    [InlineData("Telemetry/A.cs", "using P = Gateway.Policies.IdempotencyPolicy;", "Telemetry must not use Policies")]
    [InlineData("Storage/A.cs", "class A { Policies.Selector? S; }", "Storage must not use Policies")]
    [InlineData("Storage/A.cs", "class A { Embedded.EmbeddedStore? S; }", "Storage must not use Storage.Embedded")]
    [InlineData("Storage/Redis/A.cs", "using Gateway.Storage.Embedded;", "Storage.Redis must not use Storage.Embedded")]
    [InlineData("Storage/Redis/A.cs", "using Microsoft.Data.Sqlite;", "Storage.Redis must not use Microsoft.Data.Sqlite")]
    [InlineData("Storage/Embedded/A.cs", "using StackExchange.Redis;", "Storage.Embedded must not use StackExchange.")]
    [InlineData("Admin/A.cs", "using OpenTelemetry.Trace;", "Admin must not use OpenTelemetry")]
    [InlineData("Storage/A.cs", "class A { HttpContext? C; }", "Storage must not use HttpContext")]
    [InlineData("Configuration/A.cs", "using Gateway.Storage.Embedded;", "Configuration must not use Storage.Embedded")]
    [InlineData("Configuration/A.cs", "using Microsoft.AspNetCore.Http.Features;", "Configuration must not use Microsoft.AspNetCore.Http")]
    [InlineData("Admin/A.cs", "using Gateway.Idempotency;", "Admin must not use Idempotency")]
    [InlineData("Admin/A.cs", "using Yarp.ReverseProxy.Model;", "Admin must not use Yarp.")]
    [InlineData("Idempotency/A.cs", "using Gateway.Storage.Redis;", "Idempotency must not use Storage.Redis")]
    [InlineData("Admin/A.cs", "class A { void B() => Banner.Write(); }", "Admin must not use Banner")]
    [InlineData("Idempotency/A.cs", "namespace Gateway.Policies;", "the namespace is Gateway.Policies, the folder says Gateway.Idempotency")]
    [InlineData("Caching/A.cs", "", "Caching is a new area; say in DependencyRules what it may use")]
    public void Checker_CatchesAViolation(string path, string source, string expected) =>
        Assert.Contains($"{path}: {expected}", DependencyRules.Violations(path, source));

    [Theory]
    [InlineData("Configuration/A.cs", "using Gateway.Storage.Redis; class A { string? B = settings.Redis.Configuration; }")]
    [InlineData("Storage/Redis/A.cs", "using StackExchange.Redis; namespace Gateway.Storage.Redis; class A { Storage.Digest D; }")]
    [InlineData("Idempotency/A.cs", "// using Gateway.Admin;\nclass A { string B = \"Gateway.Admin.X\"; Storage.RecordParse P; HttpContext? C; }")]
    [InlineData("Banner.cs", "using Gateway.Admin; using Gateway.Storage.Redis; namespace Gateway;")]
    public void Checker_LetsPassWhatIsAllowed(string path, string source) => Assert.Empty(DependencyRules.Violations(path, source));
}
