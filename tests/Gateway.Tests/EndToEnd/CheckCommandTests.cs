using Gateway.Tests.Repository;
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
    public async Task MistypedNames_AreAnsweredWithWhatWasMeant()
    {
        var (exitCode, _, errors) = await CheckAsync("""
            {
              "Store": { "Kind": "Rediss" },
              "Idempotency": { "Policies": { "payments": { "Lease": "86400", "Retension": "24h", "Retention": "24:00:00" } } },
              "ReverseProxy": {
                "Routes": { "orders": { "ClusterId": "legcay", "Match": { "Path": "/orders" }, "Metdata": {}, "Metadata": { "Idempotency": "paymnets" } } },
                "Clusters": { "legacy": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } }
              },
              "Logging": { "Console": { "FormatterName": "jsno" } }
            }
            """);

        Assert.Equal(2, exitCode);
        string[] expected =
        [
            "did you mean Redis?", "write 86400s (1.00:00:00)", "did you mean Retention?", "write 1.00:00:00", "did you mean legacy?", "did you mean Metadata?", "did you mean payments?",
            "did you mean json?",
        ];
        Assert.All(expected, words => Assert.Contains(words, errors, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{\n  \"Store\": {\n  },\n\n\n\n  \"Admin\" 5\n}", "line 7, column 11: ")]
    [InlineData("{\n  # of the store\n  \"Store\": {}\n}", "line 2, column 3: ", "A comment begins with //.")]
    public async Task AMistakeInTheJson_HasItsPlaceAsEditorsCount(string json, params string[] expected)
    {
        var (exitCode, _, errors) = await CheckAsync(json);

        Assert.Equal(2, exitCode);
        Assert.All(expected, words => Assert.Contains(words, errors, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("24h", "1.00:00:00")]
    [InlineData("1.00:00:00", "1.00:00:00")]
    [InlineData("90m", "01:30:00")]
    [InlineData("1d12h", "1.12:00:00")]
    public async Task Durations_AreWrittenAsPeopleDo_AndTheSumIsSaid(string written, string shown)
    {
        var (exitCode, output, errors) = await CheckAsync($$"""
            {
              "Idempotency": { "Policies": { "p": { "Retention": "{{written}}" } } },
              "ReverseProxy": {
                "Routes": {
                  "a": { "ClusterId": "c", "Match": { "Path": "/a" }, "Metadata": { "Idempotency": "p" } },
                  "b": { "ClusterId": "c", "Match": { "Path": "/b" } }
                },
                "Clusters": { "c": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } }
              }
            }
            """);

        Assert.Equal((0, ""), (exitCode, errors));
        Assert.Contains($"  {shown}  ", output, StringComparison.Ordinal);
        Assert.EndsWith("OK: 2 routes, 1 protected\n", output, StringComparison.Ordinal);
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
        var file = RepositoryFiles.PathOf("config/routes.json");

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
}
