using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>Who may use whom inside src/Gateway; ARCHITECTURE.md has the table. Between projects, the compiler keeps the order.</summary>
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
    [InlineData("Policies/A.cs", "using Idempotency.Storage;", "Policies must not use Storage")]
    [InlineData("Policies/A.cs", "using static Gateway.Telemetry.GatewayMetrics;", "Policies must not use Telemetry")]
    [InlineData("Telemetry/A.cs", "using P = Gateway.Policies.IdempotencyPolicy;", "Telemetry must not use Policies")]
    [InlineData("Idempotency/A.cs", "using Microsoft.Data.Sqlite;", "Idempotency must not use Microsoft.Data.Sqlite")]
    [InlineData("Configuration/A.cs", "using StackExchange.Redis;", "Configuration must not use StackExchange.")]
    [InlineData("Policies/A.cs", "class A { HttpContext? C; }", "Policies must not use HttpContext")]
    [InlineData("Admin/A.cs", "using OpenTelemetry.Trace;", "Admin must not use OpenTelemetry")]
    [InlineData("Configuration/A.cs", "using Idempotency.Storage.Sqlite;", "Configuration must not use Storage.Sqlite")]
    [InlineData("Configuration/A.cs", "using Microsoft.AspNetCore.Http.Features;", "Configuration must not use Microsoft.AspNetCore.Http")]
    [InlineData("Admin/A.cs", "using Gateway.Idempotency;", "Admin must not use Idempotency")]
    [InlineData("Admin/A.cs", "using Yarp.ReverseProxy.Model;", "Admin must not use Yarp.")]
    [InlineData("Idempotency/A.cs", "using Idempotency.Storage.Redis;", "Idempotency must not use Storage.Redis")]
    [InlineData("Admin/A.cs", "class A { void B() => Banner.Write(); }", "Admin must not use Banner")]
    [InlineData("Idempotency/A.cs", "namespace Gateway.Policies;", "the namespace is Gateway.Policies, the folder says Gateway.Idempotency")]
    [InlineData("Caching/A.cs", "", "Caching is a new area; say in DependencyRules what it may use")]
    public void Checker_CatchesAViolation(string path, string source, string expected) =>
        Assert.Contains($"{path}: {expected}", DependencyRules.Violations(path, source));

    [Theory]
    [InlineData("Configuration/A.cs", "using Idempotency.Storage.Redis; class A { string? B = settings.Redis.Configuration; }")]
    [InlineData("Idempotency/A.cs", "// using Gateway.Admin;\nclass A { string B = \"Gateway.Admin.X\"; RecordParse P; HttpContext? C; }")]
    [InlineData("Banner.cs", "using Gateway.Admin; using Idempotency.Storage.Redis; namespace Gateway;")]
    public void Checker_LetsPassWhatIsAllowed(string path, string source) => Assert.Empty(DependencyRules.Violations(path, source));
}
