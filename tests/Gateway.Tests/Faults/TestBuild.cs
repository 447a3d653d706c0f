using Gateway.Tests.Repository;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>
/// The gateway with its crash points and deliberate defects compiled in (see <c>src/Gateway/TestHooks.cs</c>). It is built from a copy of
/// the sources, so that nothing in the working tree changes, once in a test run, and deleted at the end of it.
/// </summary>
internal static class TestBuild
{
    private static readonly TimeSpan BuildTime = TimeSpan.FromMinutes(5);
    private static readonly string[] BuildFiles = ["Directory.Build.props", "Directory.Packages.props", "BannedSymbols.txt", "global.json"];
    private static readonly Lazy<Task<string>> Build = new(BuildAsync);

    /// <summary>The path of its Gateway.dll.</summary>
    public static Task<string> GatewayAsync() => Build.Value;

    private static async Task<string> BuildAsync()
    {
        var directory = Directory.CreateTempSubdirectory("gateway-test-build-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(directory, recursive: true);
        foreach (var file in BuildFiles.Concat(RepositoryFiles.Find("src/Gateway", "*")))
        {
            var copy = Path.Combine(directory, file);
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(RepositoryFiles.PathOf(file), copy);
        }

        // No build servers: they would outlive the test run. No analyzers: the product's own build has run them.
        var output = Path.Combine(directory, "out");
        string[] arguments =
        [
            "build", Path.Combine(directory, "src/Gateway"), "-c", "Release", "-o", output, "-p:TestHooks=true",
            "-p:RunAnalyzers=false", "-p:NuGetAudit=false", "-p:UseSharedCompilation=false", "-nodeReuse:false", "-m:1", "-nologo",
        ];
        var process = ChildProcesses.Start(new("dotnet", arguments) { WorkingDirectory = directory, RedirectStandardOutput = true });
        try
        {
            using var deadline = new CancellationTokenSource(BuildTime);
            var log = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return process.ExitCode == 0
                ? Path.Combine(output, "Gateway.dll")
                : throw new InvalidOperationException($"The test build of the gateway failed:\n{log}");
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }
}
