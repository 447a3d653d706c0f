using Gateway.Tests.Repository;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>
/// The gateway with its crash points compiled in (see <c>src/Idempotency.Storage/TestHooks.cs</c>). It is built once in a test
/// run, in a folder of its own that is deleted at the end of it: nothing in the working tree changes.
/// </summary>
internal static class TestBuild
{
    private static readonly TimeSpan BuildTime = TimeSpan.FromMinutes(5);
    private static readonly Lazy<Task<string>> Build = new(BuildAsync);

    /// <summary>The path of its Gateway.dll.</summary>
    public static Task<string> GatewayAsync() => Build.Value;

    private static async Task<string> BuildAsync()
    {
        var directory = Directory.CreateTempSubdirectory("gateway-test-build-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(directory, recursive: true);

        // No build servers: they would outlive the test run. No analyzers: the product's own build has run them.
        string[] arguments =
        [
            "build", RepositoryFiles.PathOf("src/Gateway"), "-c", "Release", "--artifacts-path", directory, "-p:TestHooks=true",
            "-p:RunAnalyzers=false", "-p:NuGetAudit=false", "-p:UseSharedCompilation=false", "-nodeReuse:false", "-m:1", "-nologo",
        ];
        var process = ChildProcesses.Start(new("dotnet", arguments) { RedirectStandardOutput = true });
        try
        {
            using var deadline = new CancellationTokenSource(BuildTime);
            var log = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return process.ExitCode == 0
                ? Path.Combine(directory, "bin", "Gateway", "release", "Gateway.dll")
                : throw new InvalidOperationException($"The test build of the gateway failed:\n{log}");
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }
}
