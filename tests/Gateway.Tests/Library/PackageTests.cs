using System.Globalization;
using System.IO.Compression;
using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Library;

/// <summary>What <c>dotnet pack</c> makes, used as others would: from a feed, without this repository.</summary>
public sealed class PackageTests : IAsyncLifetime
{
    private const string Version = "0.1.0-test";
    private static readonly string[] Projects = ["Idempotency.Storage", "Idempotency.Storage.Sqlite", "Idempotency.Storage.Redis", "Idempotency.Storage.Postgres", "Idempotency.Storage.Testing", "Idempotency.Yarp"];

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-packages-");
    private readonly HttpClient _client = KeyedRequests.NewClient();

    private string Feed => Path.Combine(_directory.FullName, "feed");

    public async Task InitializeAsync()
    {
        foreach (var project in Projects)
        {
            // As the suite has built them.
            await DotnetAsync("pack", RepositoryFiles.PathOf($"src/{project}"), "-c", "Release", "--no-build", "-o", Feed, $"-p:PackageVersion={Version}", "-nologo");
        }
    }

    public Task DisposeAsync()
    {
        _client.Dispose();
        _directory.Delete(recursive: true);
        return Task.CompletedTask;
    }

    [Fact]
    public async Task TheSample_IsBuiltFromThePackages_AndKeepsThePromise()
    {
        Assert.All(Projects, project =>
        {
            using var package = ZipFile.OpenRead(Path.Combine(Feed, $"{project}.{Version}.nupkg"));
            Assert.Contains(package.Entries, entry => entry.FullName == "README.md");
            Assert.Contains(package.Entries, entry => entry.FullName == $"lib/net10.0/{project}.xml");
            Assert.True(File.Exists(Path.Combine(Feed, $"{project}.{Version}.snupkg")));
        });

        var host = await BuildSampleAsync();
        await using var backend = await ScriptedBackend.StartAsync();
        var port = LoopbackPorts.Reserve();
        var url = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
        var process = ChildProcesses.Start(new("dotnet", [host, "--urls", url, "--Backend", backend.Url, "--Database", Path.Combine(_directory.FullName, "keys.db")])
        {
            WorkingDirectory = _directory.FullName,
        });
        try
        {
            await Eventually.TrueAsync(async () => await TryGetAsync($"{url}/.well-known/idempotency") is not null, "listening");
            var first = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k1\"");
            var replay = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k1\"");
            var other = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k1\"", """{"other":1}""");
            var held = backend.Hold();
            var slow = KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k2\"");
            await backend.WaitForArrivalsAsync(2);
            var duplicate = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k2\"");
            held.Release();
            await slow;
            backend.Handler = context =>
            {
                context.Abort();
                return Task.CompletedTask;
            };
            var broken = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k3\"");
            var uncertain = await KeyedRequests.PostAsync(_client, $"{url}/orders/1", "\"k3\"");

            Assert.Equal(3, backend.Ledger.Count);
            Assert.Equal((201, first.Text, true), (replay.Status, replay.Text, replay.IsReplay));
            Assert.Equal(("key-reused", "in-progress", "outcome-uncertain"), (other.ProblemType, duplicate.ProblemType, uncertain.ProblemType));
            Assert.Equal(502, broken.Status);
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }

    /// <summary>The store of these tests, in a project that sees only what is public.</summary>
    [Fact]
    public async Task AStoreOfSomebodyElse_PassesTheContractFromThePackage()
    {
        var project = Directory.CreateDirectory(Path.Combine(_directory.FullName, "store")).FullName;
        await ConfigureFeedAsync(project);
        foreach (var file in (string[])["tests/Gateway.Tests/Storage/MemoryStore.cs", "tests/Gateway.Tests/Storage/MemoryStoreTests.cs", "Directory.Packages.props"])
        {
            File.Copy(RepositoryFiles.PathOf(file), Path.Combine(project, Path.GetFileName(file)));
        }

        await File.WriteAllTextAsync(Path.Combine(project, "Store.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <NuGetAudit>false</NuGetAudit>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                <PackageVersion Include="Idempotency.Storage.Testing" Version="{Version}" />
                <PackageReference Include="Idempotency.Storage.Testing" />
                <PackageReference Include="Microsoft.NET.Test.Sdk" />
                <PackageReference Include="xunit" />
                <PackageReference Include="xunit.runner.visualstudio" />
                <PackageReference Include="Microsoft.Extensions.TimeProvider.Testing" />
                <Using Include="Idempotency.Storage.Testing" />
              </ItemGroup>
            </Project>
            """);

        var log = await DotnetAsync("test", project, "-c", "Release", "-nologo");

        Assert.Matches(@"Failed:\s+0, Passed:\s+[1-9]\d+, Skipped:\s+0", log);
    }

    private async Task<string> BuildSampleAsync()
    {
        var sample = Directory.CreateDirectory(Path.Combine(_directory.FullName, "sample"));
        foreach (var file in RepositoryFiles.Find("samples", "*.*").Where(file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal)))
        {
            var copy = new FileInfo(Path.Combine(sample.FullName, file));
            copy.Directory!.Create();
            File.Copy(RepositoryFiles.PathOf(file), copy.FullName);
        }

        await ConfigureFeedAsync(sample.FullName);
        await DotnetAsync(
            "build", Path.Combine(sample.FullName, "samples", "YarpHost"), "-c", "Release", $"-p:IdempotencyVersion={Version}", "-p:NuGetAudit=false", "-p:TreatWarningsAsErrors=true",
            "-o", Path.Combine(_directory.FullName, "host"), "-nologo");
        return Path.Combine(_directory.FullName, "host", "YarpHost.dll");
    }

    /// <summary>Other people's packages are those that the build has fetched; ours go nowhere but into the folder of this test.</summary>
    private Task ConfigureFeedAsync(string folder)
    {
        var fetched = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return File.WriteAllTextAsync(Path.Combine(folder, "nuget.config"), $"""
            <configuration>
              <packageSources><clear /><add key="ours" value="{Feed}" /></packageSources>
              <fallbackPackageFolders><clear /><add key="fetched" value="{fetched}" /></fallbackPackageFolders>
              <config><add key="globalPackagesFolder" value="{Path.Combine(_directory.FullName, "packages")}" /></config>
            </configuration>
            """);
    }

    private async Task<string?> TryGetAsync(string url)
    {
        try
        {
            return await _client.GetStringAsync(new Uri(url));
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    /// <summary>Without build servers, which would outlive the test run.</summary>
    /// <returns>What it printed.</returns>
    private static async Task<string> DotnetAsync(params string[] arguments)
    {
        var process = ChildProcesses.Start(new("dotnet", [.. arguments, "-nodeReuse:false", "-p:UseSharedCompilation=false"]) { RedirectStandardOutput = true });
        try
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(5));
            var log = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            Assert.True(process.ExitCode == 0, log);
            return log;
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }
}
