using System.Reflection;

namespace Gateway.Configuration;

/// <summary>
/// Finds keys that YARP would ignore without a word (<c>"Metdata"</c>): walks a section beside the type that it is read into. Names that
/// the user chooses (dictionaries) and single values are let pass.
/// </summary>
internal static class KnownKeys
{
    public static void Check(IConfigurationSection section, Type type, ConfigurationErrors errors)
    {
        if (ItemTypeOf(type) is { } item)
        {
            foreach (var child in section.GetChildren())
            {
                Check(child, item, errors);
            }

            return;
        }

        if (type.Assembly != typeof(Yarp.ReverseProxy.Configuration.RouteConfig).Assembly || type.IsEnum)
        {
            return;
        }

        var properties = type.GetProperties(BindingFlags.Public | BindingFlags.Instance);
        foreach (var child in section.GetChildren())
        {
            var property = Array.Find(properties, property => property.Name.Equals(child.Key, StringComparison.OrdinalIgnoreCase));
            if (property is null)
            {
                errors.Add(child.Path, null, $"unknown setting; known here: {string.Join(", ", properties.Select(p => p.Name))}");
            }
            else
            {
                Check(child, Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType, errors);
            }
        }
    }

    /// <summary>What a list or dictionary holds, or null for anything else.</summary>
    private static Type? ItemTypeOf(Type type)
    {
        if (type == typeof(string) || !type.IsGenericType)
        {
            return null;
        }

        var definition = type.GetGenericTypeDefinition();
        return definition == typeof(IReadOnlyDictionary<,>) ? type.GetGenericArguments()[1]
            : definition == typeof(IReadOnlyList<>) ? type.GetGenericArguments()[0]
            : null;
    }
}
