using System.Diagnostics;
using System.Text.Json;
using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Clients;

/// <summary>Programs of tests/clients, which test.sh installs from the npm registry where Node.js is.</summary>
internal static class NodeClients
{
    private static readonly string Folder = RepositoryFiles.PathOf("tests/clients");

    /// <summary>Null when they can be run.</summary>
    public static string? SkipReason =>
        Directory.Exists(Path.Combine(Folder, "node_modules")) ? null : "Needs the packages of tests/clients: Node.js, and npm ci there, as test.sh does.";

    /// <summary>What the program prints, as JSON.</summary>
    public static async Task<JsonElement> RunAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo("node", [program, .. arguments])
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        using var process = ChildProcesses.Start(start);
        try
        {
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(deadline.Token), process.StandardError.ReadToEndAsync(deadline.Token));
            await process.WaitForExitAsync(deadline.Token);
            Assert.True(process.ExitCode == 0, $"{program} failed: {await errors}");
            return JsonDocument.Parse(await output).RootElement;
        }
        finally
        {
            process.Kill();
        }
    }
}

/// <summary>A fact that needs <see cref="NodeClients"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NodeFactAttribute : FactAttribute
{
    public NodeFactAttribute()
    {
        Skip = NodeClients.SkipReason;
    }
}
