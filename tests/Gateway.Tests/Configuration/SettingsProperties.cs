using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Gateway.Configuration;
using Gateway.Tests.Repository;
using Idempotency.Yarp.Configuration;
using Xunit;

namespace Gateway.Tests.Configuration;

/// <summary>Whatever stands in the file: valid settings, or errors that say where. Never an exception.</summary>
public sealed class SettingsProperties
{
    private const string File = "routes.json";

    private static readonly Config Thorough = Config.QuickThrowOnFailure.WithMaxTest(300);

    /// <summary>Valid, with every setting in it.</summary>
    private static readonly string Valid = System.IO.File.ReadAllText(RepositoryFiles.PathOf("tests/Gateway.Tests/Configuration/Cases/every-setting.json"));

    /// <summary>Names that mean something, so that random trees get below the surface, and some that mean nothing.</summary>
    private static readonly string[] Names =
    [
        "x", "0", "Store", "Kind", "Timeout", "Embedded", "Path", "Redis", "Configuration", "KeyPrefix", "Postgres", "ConnectionString", "Idempotency", "Secret", "Policies", "default",
        "Lease", "Retention", "Methods", "Key", "Scope", "Fingerprint", "Response", "Release", "MaxBodyBytes", "ReverseProxy", "Routes", "Clusters",
        "ClusterId", "Match", "Metadata", "Destinations", "Address", "HttpRequest", "Version", "ActivityTimeout", "Transforms", "Admin", "Urls", "Token",
        "ShutdownGrace", "Order", "Hosts", "Headers", "QueryParameters", "LoadBalancingPolicy", "SessionAffinity", "HealthCheck", "Active", "Enabled",
    ];

    private static readonly string[] Sections = ["$schema", "Store", "Idempotency", "ReverseProxy", "Admin", "Authentication", "Limits", "ShutdownGrace", "Logging", "Kestrel", "x"];

    private static Gen<JsonNode?> Values { get; } = Gen.OneOf(
        Gen.Constant<JsonNode?>(null),
        Gen.Elements("", " ", "x", "POST", "00:00:30", "-1", "99999999999999999999", "1e9", "\u0000", "\ud800", "http://", "127.0.0.1:6379,", "header:", "{", "Redis", "2")
            .Select(text => (JsonNode?)JsonValue.Create(text)),
        Gen.Choose(-10, 1000).Select(number => (JsonNode?)JsonValue.Create(number)),
        Gen.Elements(true, false).Select(value => (JsonNode?)JsonValue.Create(value)));

    [Fact]
    public void AnyTree_IsSettings_OrErrorsThatSayWhere() => Check(
        from section in Gen.Elements(Sections)
        from tree in Trees(4)
        select new JsonObject { [section] = tree?.DeepClone() }.ToJsonString());

    [Fact]
    public void ValidSettingsWithAnyChange_AreSettings_OrErrorsThatSayWhere() => Check(
        from count in Gen.Choose(1, 20)
        from changes in Gen.Zip(Gen.Choose(0, int.MaxValue), Gen.OneOf(Values, Values, Trees(2))).ArrayOf(count)
        select changes.Aggregate(JsonNode.Parse(Valid)!, Changed).ToJsonString());

    [Fact]
    public void AnyBytes_AreSettings_OrErrorsThatSayWhere() => Check(ArbMap.Default.GeneratorFor<string>().Select(text => text ?? ""));

    [Fact]
    public void TheSettingsThatAreChanged_AreValid() => Assert.NotNull(SettingsLoader.Load(File, Encoding.UTF8.GetBytes(Valid), new ConfigurationErrors()));

    private static Gen<JsonNode?> Trees(int depth) => depth == 0
        ? Values
        : Gen.OneOf(
            Values,
            from names in Gen.Elements(Names).ArrayOf(4)
            from values in Trees(depth - 1).ListOf(4)
            select (JsonNode?)new JsonObject(names.Distinct().Zip(values, (name, value) => KeyValuePair.Create(name, value?.DeepClone()))),
            from values in Trees(depth - 1).ListOf()
            select (JsonNode?)new JsonArray([.. values.Take(3).Select(value => value?.DeepClone())]));

    /// <summary>One node, chosen by its number, is replaced or, if the number is odd, removed.</summary>
    private static JsonNode Changed(JsonNode root, (int Number, JsonNode? Value) change)
    {
        var places = Places(root).ToList();
        if (places.Count == 0)
        {
            return root;
        }

        var (parent, name) = places[change.Number / 2 % places.Count];
        if (parent is JsonArray array)
        {
            array[int.Parse(name, provider: null)] = change.Value?.DeepClone();
        }
        else if (change.Number % 2 == 1)
        {
            parent.AsObject().Remove(name);
        }
        else
        {
            parent[name] = change.Value?.DeepClone();
        }

        return root;
    }

    private static IEnumerable<(JsonNode Parent, string Name)> Places(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => Places(member.Value).Prepend((node, member.Key))),
        JsonArray items => items.SelectMany((item, index) => Places(item).Prepend((node, index.ToString(provider: null)))),
        _ => [],
    };

    private static void Check(Gen<string> files) => Prop.ForAll(files.ToArbitrary(), AssertSettingsOrErrors).Check(Thorough);

    private static void AssertSettingsOrErrors(string json)
    {
        var errors = new ConfigurationErrors();
        var settings = SettingsLoader.Load(File, Encoding.UTF8.GetBytes(json), errors);
        Assert.Equal(settings is null, errors.Errors.Count > 0);
        Assert.All(errors.Errors, error => Assert.True(SaysWhere(error), error));
        Assert.True(settings is null || SettingsText.Of(settings).Length > 0);
    }

    /// <summary><c>PATH: what is wrong</c> or <c>PATH = "value": what was expected</c>, and the path leads from a top-level section or is the file's.</summary>
    private static bool SaysWhere(string error) =>
        error.Split([": ", " = "], 2, StringSplitOptions.None) is [var path, { Length: > 0 }] && (path == File || Sections.Contains(path.Split(':')[0]));
}
