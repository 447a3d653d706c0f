using System.Text.Json;

namespace Gateway.Tests.Repository;

/// <summary>One setting as config/routes.schema.json describes it; NAME stands for the name of a policy.</summary>
internal sealed record SchemaSetting(string Path, JsonElement Schema)
{
    public JsonElement? Default => Schema.TryGetProperty("default", out var value) ? value : null;

    /// <summary>The default as documents write it: text without quotes, lists as compact JSON, "none" when there is none.</summary>
    public string DefaultText => Default switch
    {
        null => "none",
        { ValueKind: JsonValueKind.String } text => text.GetString()!,
        { } other => JsonSerializer.Serialize(other),
    };
}

/// <summary>Reads config/routes.schema.json.</summary>
internal static class RoutesSchema
{
    private static readonly string[] NotOurs = ["ReverseProxy", "Logging", "Kestrel", "$schema"];

    public static JsonElement Root { get; } = JsonDocument.Parse(RepositoryFiles.Read("config/routes.schema.json")).RootElement;

    /// <summary>What is wrong with a configuration, by the schema; empty when it is valid.</summary>
    public static IReadOnlyList<string> Validate(string json)
    {
        var options = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
        using var document = JsonDocument.Parse(json, options);
        return [.. new JsonSchema(Root).Validate(document.RootElement)];
    }

    /// <summary>Every setting that is not a section.</summary>
    public static IReadOnlyList<SchemaSetting> Settings() =>
        [.. from property in Root.GetProperty("properties").EnumerateObject()
            where !NotOurs.Contains(property.Name)
            from setting in Below(property.Name, property.Value)
            select setting];

    private static IEnumerable<SchemaSetting> Below(string path, JsonElement schema)
    {
        if (schema.TryGetProperty("properties", out var properties))
        {
            return properties.EnumerateObject().SelectMany(property => Below($"{path}:{property.Name}", property.Value));
        }

        return schema.TryGetProperty("additionalProperties", out var named) && named.ValueKind == JsonValueKind.Object
            && new JsonSchema(Root).Resolve(named) is var item && item.TryGetProperty("properties", out _)
            ? Below($"{path}:NAME", item)
            : [new SchemaSetting(path, schema)];
    }
}
