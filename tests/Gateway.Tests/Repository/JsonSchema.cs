using System.Text.Json;
using System.Text.RegularExpressions;

namespace Gateway.Tests.Repository;

/// <summary>Checks JSON against the part of JSON Schema (draft 2020-12) that config/routes.schema.json uses; any other keyword throws.</summary>
internal sealed class JsonSchema(JsonElement root)
{
    private static readonly string[] Annotations = ["$schema", "$defs", "title", "description", "default", "examples"];

    public IEnumerable<string> Validate(JsonElement value) => Validate(value, root, "$");

    /// <summary>Follows a reference into the schema's own definitions.</summary>
    public JsonElement Resolve(JsonElement schema) =>
        schema.TryGetProperty("$ref", out var reference)
            ? root.GetProperty("$defs").GetProperty(reference.GetString()!["#/$defs/".Length..])
            : schema;

    private IEnumerable<string> Validate(JsonElement value, JsonElement schema, string path) =>
        schema.EnumerateObject().Where(keyword => !Annotations.Contains(keyword.Name)).SelectMany(keyword => Check(value, schema, keyword, path));

    private IEnumerable<string> Check(JsonElement value, JsonElement schema, JsonProperty keyword, string path)
    {
        var rule = keyword.Value;
        return keyword.Name switch
        {
            "$ref" => Validate(value, Resolve(schema), path),
            "properties" => CheckProperties(value, rule, path),
            "additionalProperties" => CheckAdditional(value, schema, rule, path),
            "items" => value.ValueKind != JsonValueKind.Array
                ? []
                : value.EnumerateArray().SelectMany((item, i) => Validate(item, rule, $"{path}[{i}]")),
            _ => Holds(value, keyword.Name, rule) ? [] : [$"{path}: {keyword.Name} {rule}"],
        };
    }

    private IEnumerable<string> CheckProperties(JsonElement value, JsonElement properties, string path) =>
        value.ValueKind != JsonValueKind.Object
            ? []
            : properties.EnumerateObject().SelectMany(property =>
                value.TryGetProperty(property.Name, out var member) ? Validate(member, property.Value, $"{path}.{property.Name}") : []);

    private IEnumerable<string> CheckAdditional(JsonElement value, JsonElement schema, JsonElement rule, string path)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return [];
        }

        var additional = value.EnumerateObject()
            .Where(member => !schema.TryGetProperty("properties", out var known) || !known.TryGetProperty(member.Name, out _));
        return rule.ValueKind switch
        {
            JsonValueKind.True => [],
            JsonValueKind.False => additional.Select(member => $"{path}.{member.Name}: unknown"),
            _ => additional.SelectMany(member => Validate(member.Value, rule, $"{path}.{member.Name}")),
        };
    }

    private static bool Holds(JsonElement value, string keyword, JsonElement rule) => keyword switch
    {
        "type" when rule.ValueKind == JsonValueKind.Array => rule.EnumerateArray().Any(type => IsOfType(value, type.GetString()!)),
        "type" => IsOfType(value, rule.GetString()!),
        "enum" => rule.EnumerateArray().Any(item => JsonElement.DeepEquals(item, value)),
        "pattern" => value.ValueKind != JsonValueKind.String || Regex.IsMatch(value.GetString()!, rule.GetString()!),
        "minLength" => value.ValueKind != JsonValueKind.String || value.GetString()!.Length >= rule.GetInt32(),
        "required" => value.ValueKind != JsonValueKind.Object || rule.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)),
        "minItems" => value.ValueKind != JsonValueKind.Array || value.GetArrayLength() >= rule.GetInt32(),
        "maxItems" => value.ValueKind != JsonValueKind.Array || value.GetArrayLength() <= rule.GetInt32(),
        "minimum" => value.ValueKind != JsonValueKind.Number || value.GetDecimal() >= rule.GetDecimal(),
        "maximum" => value.ValueKind != JsonValueKind.Number || value.GetDecimal() <= rule.GetDecimal(),
        _ => throw new NotSupportedException($"The schema uses {keyword}; teach it to this class."),
    };

    private static bool IsOfType(JsonElement value, string type) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
        _ => throw new NotSupportedException($"The schema uses the type {type}; teach it to this class."),
    };
}
