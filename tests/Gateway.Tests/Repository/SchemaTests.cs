using System.Text.Json;
using Gateway.Configuration;
using Gateway.Tests.Configuration;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>config/routes.schema.json says what the code does.</summary>
public sealed class SchemaTests
{
    private const string Cases = "tests/Gateway.Tests/Configuration/Cases";

    /// <summary>What the code also takes and an editor may well mark: other case, null, and numbers as text.</summary>
    private static readonly string[] StricterThanTheCode = ["case-insensitive", "empty-arrays-and-nulls", "one-value-for-a-list"];

    public static TheoryData<string> CompleteConfigurations =>
        ["config/routes.json", "bench/gateway.json", .. RepositoryFiles.Find("config/examples", "*.json"), .. RepositoryFiles.Find("deploy", "*.json")];

    [Fact]
    public void Schema_ListsTheSettingsThatTheCodeReads() =>
        Assert.Equal(KnownSettings.Supported.Order(), RoutesSchema.Settings().Select(setting => setting.Path).Order());

    [Fact]
    public void Schema_GivesTheDefaultsOfTheCode()
    {
        var written = RoutesSchema.Settings().Where(setting => setting.Default is not null && !IsOptional(setting)).SelectMany(Flatten);
        var fromSchema = SettingsLoader.Convert(new ConfigurationBuilder().AddInMemoryCollection(written).Build(), new ConfigurationErrors())!;
        var fromCode = SettingsLoader.Convert(new ConfigurationBuilder().Build(), new ConfigurationErrors())!;

        Assert.Equal(SettingsText.Of(fromCode), SettingsText.Of(fromSchema));
    }

    [Fact]
    public void Schema_OffersTheChoicesOfTheCode()
    {
        var choices = RoutesSchema.Settings().Where(setting => setting.Schema.TryGetProperty("enum", out _)).ToList();

        Assert.NotEmpty(choices);
        Assert.All(choices, setting => Assert.Equal(
            KnownSettings.ChoicesOf(setting.Path), setting.Schema.GetProperty("enum").EnumerateArray().Select(value => value.GetString())));
    }

    [Fact]
    public void Schema_GivesTheBoundsOfTheCode()
    {
        var numbers = RoutesSchema.Settings().Where(setting => setting.Schema.TryGetProperty("maximum", out _)).ToList();

        Assert.NotEmpty(numbers);
        Assert.All(numbers, setting =>
        {
            var (min, max) = (setting.Schema.GetProperty("minimum").GetInt64(), setting.Schema.GetProperty("maximum").GetInt64());
            Assert.Empty(KnownSettings.ErrorsOf(setting.Path, $"{min}"));
            Assert.Empty(KnownSettings.ErrorsOf(setting.Path, $"{max}"));
            Assert.NotEmpty(KnownSettings.ErrorsOf(setting.Path, $"{min - 1}"));
            Assert.NotEmpty(KnownSettings.ErrorsOf(setting.Path, $"{max + 1}"));
        });
    }

    [Theory]
    [MemberData(nameof(CompleteConfigurations))]
    public void ShippedConfiguration_IsValid_AndLoads(string file) => AssertLoads(RepositoryFiles.Read(file));

    [Fact]
    public void ConfigMapOfTheSidecarExample_IsValid_AndLoads()
    {
        var lines = RepositoryFiles.Read("deploy/kubernetes-sidecar.yaml").Split('\n');
        var first = Array.IndexOf(lines, "  routes.json: |") + 1;

        AssertLoads(string.Join('\n', lines.Skip(first).TakeWhile(line => line.StartsWith("    ", StringComparison.Ordinal))));
    }

    [Fact]
    public void ExamplesOfTheSchema_AreValid_AndLoad() =>
        Assert.All(RoutesSchema.Root.GetProperty("examples").EnumerateArray(), example => AssertLoads(example.GetRawText()));

    [Fact]
    public void ExamplesInDocuments_AreValid_AndLoad()
    {
        var examples = Documents.All.SelectMany(document => Documents.CodeBlocks(document, "jsonc")).ToList();

        Assert.NotEmpty(examples);
        Assert.All(examples, AssertLoads);
    }

    [Fact]
    public void CasesThatLoad_AreValid()
    {
        var invalid = from file in RepositoryFiles.Find(Cases, "*.json")
                      where SettingsLoader.Load(RepositoryFiles.PathOf(file), new ConfigurationErrors()) is not null
                      where !StricterThanTheCode.Contains(Path.GetFileNameWithoutExtension(file))
                      from error in RoutesSchema.Validate(RepositoryFiles.Read(file))
                      select $"{file}: {error}";

        Assert.Empty(invalid);
    }

    [Theory]
    [InlineData("unknown-settings", "$.Idempotency.Policies.p.Ttl: unknown")]
    [InlineData("wrong-values", "$.Idempotency.Policies.p.Retention: pattern")]
    [InlineData("just-out-of-range", "$.Idempotency.Policies.high.MaxRequestBodyBytes: maximum")]
    [InlineData("wrong-shapes", "$.Idempotency.Policies.p: type")]
    [InlineData("contradictions", "$.Idempotency.Policies.p.Scope: minItems")]
    [InlineData("policy-contradictions", "$.Idempotency.Policies.lock-on-nothing.Lock: required")]
    [InlineData("policy-contradictions", "$.Idempotency.Policies.probe-of-nothing.Uncertain.Probe: required")]
    [InlineData("policy-contradictions", "$.Authentication.Jwt: required")]
    [InlineData("secret-too-short", "$.Idempotency.Secret: minLength")]
    public void Schema_MarksWhatTheCodeRefuses(string name, string expected) =>
        Assert.Contains(
            RoutesSchema.Validate(RepositoryFiles.Read($"{Cases}/{name}.json")), error => error.StartsWith(expected, StringComparison.Ordinal));

    /// <summary>In sections that mean something only by being there.</summary>
    private static bool IsOptional(SchemaSetting setting) => setting.Path.Contains(":Lock:", StringComparison.Ordinal) || setting.Path.Contains(":Probe:", StringComparison.Ordinal)
        || setting.Path.Contains(":Encryption:", StringComparison.Ordinal);

    private static void AssertLoads(string json)
    {
        Assert.Empty(RoutesSchema.Validate(json));
        using var file = new TemporaryFile(json);
        var errors = new ConfigurationErrors();
        SettingsLoader.Load(file.Path, errors);
        Assert.Empty(errors.Errors);
    }

    private static IEnumerable<KeyValuePair<string, string?>> Flatten(SchemaSetting setting)
    {
        var path = setting.Path.Replace("NAME", "default", StringComparison.Ordinal);
        return setting.Default is { ValueKind: JsonValueKind.Array } list
            ? list.EnumerateArray().Select((item, i) => KeyValuePair.Create($"{path}:{i}", (string?)item.ToString()))
            : [new(path, setting.Default!.Value.ToString())];
    }
}
