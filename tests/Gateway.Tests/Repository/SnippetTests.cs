using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gateway.Configuration;
using Gateway.Tests.Support;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>What the documentation tells people to type works as it stands there.</summary>
public sealed partial class SnippetTests
{
    private static readonly string[] Pages = ["README.md", "ARCHITECTURE.md", .. RepositoryFiles.Find("docs", "*.md")];

    /// <summary>Of the root of a configuration.</summary>
    private static readonly string[] Sections = ["Store", "Idempotency", "ReverseProxy", "Admin", "Authentication", "Limits", "ForwardedHeaders", "$schema"];

    public static TheoryData<string, string> JsonSnippets
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var (page, _, text) in Snippets("json", "jsonc"))
            {
                data.Add(page, text.StartsWith('{') ? text : $"{{{text}}}");
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(JsonSnippets))]
    public void Json_IsJson_AndAConfigurationIsOne(string page, string json)
    {
        using var document = JsonDocument.Parse(json, new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        var names = document.RootElement.EnumerateObject().Select(member => member.Name).ToList();
        var config = names.Any(Sections.Contains) ? json
            : names is ["Redis"] ? $$"""{ "Store": { "Kind": "Redis", {{json.Trim()[1..^1]}} } }"""
            : names is ["cart"] ? $$"""{ "ReverseProxy": { "Routes": {{json}}, "Clusters": { "legacy": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } } } }"""
            : null;
        if (config is null)
        {
            Assert.Contains("type", names); // an answer
            return;
        }

        var errors = new ConfigurationErrors();
        using var stream = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(config));
        SettingsLoader.Convert(new ConfigurationBuilder().AddJsonStream(stream).Build(), errors);
        Assert.True(errors.Errors.All(error => error.EndsWith(": the file does not exist", StringComparison.Ordinal)), $"{page}: {string.Join("; ", errors.Errors)}");
    }

    /// <summary>The README's commands for a first try, in its order, with free ports, and without building again what is built.</summary>
    [Fact]
    public async Task TheReadmesCommands_RunAsTheyStand()
    {
        var commands = Snippets("sh").Where(snippet => snippet.Page == "README.md").SelectMany(snippet => Lines(snippet.Text)).ToList();
        var (backendPort, gatewayPort) = ($"{LoopbackPorts.Reserve()}", $"{LoopbackPorts.Reserve()}");
        var folder = Directory.CreateTempSubdirectory("gateway-readme-");
        string Here(string start) => Assert.Single(commands, command => command.StartsWith(start, StringComparison.Ordinal))
            .Replace("5001", backendPort, StringComparison.Ordinal).Replace("8080", gatewayPort, StringComparison.Ordinal).Replace("-c Release --", "-c Release --no-build --", StringComparison.Ordinal);
        var environment = new Dictionary<string, string>
        {
            ["ReverseProxy__Clusters__legacy__Destinations__one__Address"] = $"http://127.0.0.1:{backendPort}/",
            ["Store__Embedded__Path"] = Path.Combine(folder.FullName, "keys.db"),
            ["Admin__Urls"] = $"http://127.0.0.1:{LoopbackPorts.Reserve()}",
        };
        using var backend = Run($"exec {Here("dotnet run --project src/DemoBackend")} --database {folder.FullName}/demo.db", environment);
        using var gateway = Run($"exec {Here("dotnet run --project src/Gateway")}", environment);
        try
        {
            var curl = Here("curl ");
            string? first = null;
            await Eventually.TrueAsync(async () => (first = await OutputAsync(curl)).StartsWith("HTTP/1.1 201", StringComparison.Ordinal), "the first answer");
            var again = await OutputAsync(curl);

            Assert.NotNull(first);
            Assert.DoesNotContain("Idempotent-Replayed", first, StringComparison.Ordinal);
            Assert.StartsWith("HTTP/1.1 201", again, StringComparison.Ordinal);
            Assert.Contains("Idempotent-Replayed: true", again, StringComparison.Ordinal);
            Assert.Equal(first[first.IndexOf("\r\n\r\n", StringComparison.Ordinal)..], again[again.IndexOf("\r\n\r\n", StringComparison.Ordinal)..]);
        }
        finally
        {
            await StopAsync(gateway);
            await StopAsync(backend);
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task TheSampleOfTheBanner_IsWhatIsPrinted()
    {
        var (_, output, _) = await GatewayProcess.RunToEndAsync("check", "--config", RepositoryFiles.PathOf("deploy/config/routes.json"));

        Assert.Contains(output[..output.IndexOf("OK: ", StringComparison.Ordinal)], RepositoryFiles.Read("docs/operations.md"), StringComparison.Ordinal);
    }

    /// <summary>Whoever adds one decides how it is tested: here, or by a run of its own.</summary>
    [Fact]
    public void EveryCommand_IsKnownHere()
    {
        string[] known = ["./demo.sh", "curl -i http://127.0.0.1:8080/cart/items", "dotnet run --project src/", "docker build", "docker run"]; // docker: needs an engine

        Assert.All(
            Snippets("sh", "bash", "console").SelectMany(snippet => Lines(snippet.Text)),
            line => Assert.Contains(known, command => line.StartsWith(command, StringComparison.Ordinal)));
    }

    /// <summary>One for each command.</summary>
    private static string[] Lines(string text) => text.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static IEnumerable<(string Page, string Kind, string Text)> Snippets(params string[] kinds) =>
        from page in Pages
        from Match match in Fence().Matches(RepositoryFiles.Read(page))
        where kinds.Contains(match.Groups["kind"].Value)
        select (page, match.Groups["kind"].Value, match.Groups["text"].Value.Trim());

    private static Process Run(string command, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", command]) { WorkingDirectory = RepositoryFiles.PathOf("."), RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        var process = ChildProcesses.Start(start);
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return process;
    }

    private static async Task<string> OutputAsync(string command)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", $"{command} -sS"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = ChildProcesses.Start(start);
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return output;
    }

    private static async Task StopAsync(Process process)
    {
        // dotnet run hands the signal on to what it runs, and waits for it.
        await Signals.SendAsync(process.Id, "TERM");
        try
        {
            await process.WaitForExitAsync().WaitAsync(Bounds.Wait);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    [GeneratedRegex(@"^```(?<kind>\w+)\n(?<text>.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();
}
