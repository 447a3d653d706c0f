using System.Diagnostics;
using System.Text;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// A credential in the wrong place comes out nowhere: not from <c>check</c>, not from <c>run</c>, not in readiness, at any log level.
/// </summary>
public sealed class SecretsInOutputTests(ITestOutputHelper output)
{
    private static readonly TimeSpan RunsFor = TimeSpan.FromSeconds(8);

    [Fact]
    public async Task NoMessage_RepeatsWhatMayBeACredential()
    {
        var found = new List<string>();
        var running = 0;
        await Parallel.ForEachAsync(WrongConfigurations.All, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (wrong, stop) =>
        {
            var (name, settings) = wrong;
            var check = await RunAsync("check", settings, stop);
            var run = await RunAsync("run", settings, stop);
            if (run.Contains("Listening on", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref running);
            }

            lock (found)
            {
                Assert.True(check.Length > 0 && run.Length > 0, name);
                found.AddRange(Lines(name, check).Concat(Lines(name, run)));
                output.WriteLine($"{name}: {run.Split('\n').FirstOrDefault(line => line.Contains(':', StringComparison.Ordinal) && !line.EndsWith("error", StringComparison.Ordinal) && !line.EndsWith("errors", StringComparison.Ordinal))}");
            }
        });

        Assert.Empty(found);
        Assert.True(WrongConfigurations.All.Count >= 30);
        Assert.True(running >= 2, "some are wrong only in a way that shows while running"); // so that banner, log and readiness were searched as well
    }

    [Fact]
    public async Task WhatIsSearchedFor_IsFoundWhereItIsAllowed() =>
        Assert.NotEmpty(Lines("", await RunAsync("check", [("Store:Kind", WrongConfigurations.Secret)], default))); // a bare word is no credential

    private static IEnumerable<string> Lines(string name, string text) =>
        text.Split('\n').Where(line => line.Contains(WrongConfigurations.Secret, StringComparison.OrdinalIgnoreCase)).Select(line => $"{name}: {line}");

    /// <summary>All that the program says, with readiness where it comes to listen.</summary>
    private static async Task<string> RunAsync(string verb, (string Path, string Value)[] settings, CancellationToken stop)
    {
        var directory = Directory.CreateTempSubdirectory("gateway-wrong-");
        var file = Path.Combine(directory.FullName, "routes.json");
        await File.WriteAllTextAsync(
            file,
            """
            {
              "Logging": { "LogLevel": { "Default": "Debug", "Microsoft": "Debug", "Yarp": "Debug" } },
              "ReverseProxy": {
                "Routes": { "all": { "ClusterId": "shop", "Match": { "Path": "/{**rest}" }, "Metadata": { "Idempotency": "default" } } },
                "Clusters": { "shop": { "Destinations": { "one": { "Address": "http://127.0.0.1:1/" } } } }
              }
            }
            """,
            stop);
        var info = new ProcessStartInfo("dotnet", [GatewayProcess.Product, verb, "--config", file])
        {
            WorkingDirectory = directory.FullName,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        info.Environment["Admin__Urls"] = "http://127.0.0.1:0";
        info.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        foreach (var (path, value) in settings)
        {
            info.Environment[path.Replace(":", "__", StringComparison.Ordinal)] = value;
        }

        var said = new StringBuilder();
        var health = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var listening = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var process = ChildProcesses.Start(info);
        process.OutputDataReceived += (_, line) => Read(line.Data);
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(stop);
            deadline.CancelAfter(Bounds.Wait);
            if (await Task.WhenAny(process.WaitForExitAsync(deadline.Token), listening.Task) == listening.Task)
            {
                using var client = new HttpClient { Timeout = RunsFor };
                Read(await (await client.GetAsync(new Uri($"{await health.Task}/readyz"), deadline.Token)).Content.ReadAsStringAsync(deadline.Token));
            }
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
            directory.Delete(recursive: true);
        }

        lock (said)
        {
            return said.ToString();
        }

        void Read(string? line)
        {
            if (line is null)
            {
                return;
            }

            lock (said)
            {
                said.Append(line).Append('\n');
            }

            if (line.StartsWith("Health on ", StringComparison.Ordinal))
            {
                health.TrySetResult(line["Health on ".Length..]);
            }
            else if (line.StartsWith("Listening on ", StringComparison.Ordinal))
            {
                listening.TrySetResult();
            }
        }
    }
}
