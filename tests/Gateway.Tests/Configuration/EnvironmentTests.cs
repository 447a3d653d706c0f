using System.Diagnostics;
using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Configuration;

/// <summary>
/// Environment variables over the file, as <c>Gateway check</c> sees them. In processes of their own, because the variables of this one
/// are shared with every other test.
/// </summary>
public sealed class EnvironmentTests
{
    private const string Example = """
        {
          "Idempotency": { "Policies": { "payments": { "Methods": ["POST", "PATCH"], "Lease": "00:00:20" } } },
          "ReverseProxy": {
            "Routes": { "pay": { "ClusterId": "bank", "Match": { "Path": "/pay" }, "Metadata": { "Idempotency": "payments" } } },
            "Clusters": { "bank": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } }
          }
        }
        """;

    [Fact]
    public async Task Variable_OverridesTheFile()
    {
        var check = await CheckAsync(Example, ("Idempotency__Policies__payments__Lease", "00:00:45"));

        Assert.Equal(0, check.ExitCode);
        Assert.Contains("00:00:45", check.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("00:00:20", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Variable_InUpperCase_OverridesTheFile()
    {
        var check = await CheckAsync(
            Example,
            ("IDEMPOTENCY__POLICIES__PAYMENTS__LEASE", "00:00:45"),
            ("REVERSEPROXY__CLUSTERS__BANK__DESTINATIONS__ONE__ADDRESS", "http://127.0.0.1:5002/"));

        Assert.Equal("", check.Errors);
        Assert.Contains("00:00:45", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Variable_ReplacesOneItemOfAListInTheFile()
    {
        var check = await CheckAsync(Example, ("Idempotency__Policies__payments__Methods__1", "PUT"));

        Assert.Contains("POST,PUT", check.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Variable_WithAWrongValue_IsNamed()
    {
        var check = await CheckAsync(Example, ("Store__Kind", "Memcached"));

        Assert.Equal(2, check.ExitCode);
        Assert.Contains("Store:Kind = \"Memcached\": expected Embedded or Redis", check.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Variable_ThatIsEmpty_IsNotTakenForAbsent()
    {
        var check = await CheckAsync(Example, ("Store__Kind", ""));

        Assert.Equal(2, check.ExitCode);
        Assert.Contains("Store:Kind = \"\": expected Embedded or Redis", check.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Variable_ThatNoSectionKnows_IsAnError()
    {
        var check = await CheckAsync(Example, ("Store__Knid", "Redis"));

        Assert.Equal(2, check.ExitCode);
        Assert.Contains("Store:Knid: unknown setting", check.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_OfAFileThatIsMissing_SaysSo()
    {
        var (exitCode, _, errors) = await GatewayProcess.RunToEndAsync("check", "--config", "no-such-file.json");

        Assert.Equal(2, exitCode);
        Assert.StartsWith("no-such-file.json: 1 error\n  no-such-file.json: cannot be read: Could not find file", errors, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> CheckAsync(string config, params (string Name, string Value)[] variables)
    {
        using var file = new TemporaryFile(config);
        var info = new ProcessStartInfo("dotnet", [GatewayProcess.Product, "check", "--config", file.Path])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in variables)
        {
            info.Environment[name] = value;
        }

        var process = ChildProcesses.Start(info);
        try
        {
            using var deadline = new CancellationTokenSource(Bounds.Wait);
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(deadline.Token), process.StandardError.ReadToEndAsync(deadline.Token));
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, await output, await errors);
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }
}
