using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary><c>Gateway check</c>, as an operator and a build run it.</summary>
public sealed class CheckCommandTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-check-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task FiveMistakes_AreAllNamed()
    {
        const string Config = """
            {
              "Store": { "Kind": "Oracle" },
              "Idempotency": { "Policies": { "payments": { "Lease": "30", "Retension": "1.00:00:00" } } },
              "ReverseProxy": {
                "Routes": {
                  "orders": { "ClusterId": "legacy", "Match": { "Path": "/orders" }, "Metadata": { "Idempotency": "paymnets" } },
                  "carts": { "ClusterId": "nowhere", "Match": { "Path": "/carts" } }
                },
                "Clusters": { "legacy": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } }
              }
            }
            """;

        var (exitCode, output, errors) = await CheckAsync(Config);

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        var lines = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.EndsWith("5 errors", lines[0], StringComparison.Ordinal);
        Assert.Equal(6, lines.Length);
        string[] mistakes =
        [
            "Store:Kind = \"Oracle\": expected ",
            "Idempotency:Policies:payments:Lease = \"30\": expected ",
            "Idempotency:Policies:payments:Retension: unknown setting; known here: ",
            "ReverseProxy:Routes:orders:Metadata:Idempotency = \"paymnets\": expected the name of a policy: default, payments",
            "ReverseProxy:Routes:carts:ClusterId = \"nowhere\": expected the name of a cluster: legacy",
        ];
        Assert.All(mistakes, mistake => Assert.Single(lines, line => line.StartsWith(mistake, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task AFileThatIsMissing_IsAMistakeToo()
    {
        var (exitCode, _, errors) = await GatewayProcess.RunToEndAsync("check", "--config", Path.Combine(_directory.FullName, "none.json"));

        Assert.Equal(2, exitCode);
        Assert.Contains("none.json", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheShippedConfiguration_IsRight_AndShownAsATable()
    {
        var file = Path.Combine(RepositoryRoot(), "config", "routes.json");

        var (exitCode, output, errors) = await GatewayProcess.RunToEndAsync("check", "--config", file);

        Assert.Equal((0, ""), (exitCode, errors));
        var lines = output.Split('\n');
        Assert.Matches("^Route +Path +Cluster +Policy +Methods +Key +Scope +Retention +Lease +Store down$", lines[0]);
        Assert.Matches(@"(?m)^cart +/cart/\{\*\*rest\} +legacy +default +POST,PATCH ", output);
    }

    private async Task<(int ExitCode, string Output, string Errors)> CheckAsync(string config)
    {
        var file = Path.Combine(_directory.FullName, "routes.json");
        await File.WriteAllTextAsync(file, config);
        return await GatewayProcess.RunToEndAsync("check", "--config", file);
    }

    private static string RepositoryRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory!.FullName, "Gateway.sln")))
        {
            directory = directory.Parent;
        }

        return directory.FullName;
    }
}
