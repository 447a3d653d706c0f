using System.ComponentModel;
using System.Reflection;
using Idempotency.Yarp.Configuration;

namespace Gateway.Configuration;

/// <summary>
/// Finds keys that YARP would ignore without a word (<c>"Metdata"</c>): walks a section beside the type that it is read into. Names that
/// the user chooses (dictionaries) are let pass; single values are looked at only to say where the one stands that YARP could not read.
/// </summary>
internal static class KnownKeys
{
    public static void Check(IConfigurationSection section, Type type, ConfigurationErrors errors, bool withValues = false)
    {
        if (ItemTypeOf(type) is { } item)
        {
            foreach (var child in section.GetChildren())
            {
                Check(child, item, errors, withValues);
            }

            return;
        }

        if (type.Assembly != typeof(Yarp.ReverseProxy.Configuration.RouteConfig).Assembly || type.IsEnum)
        {
            // YARP also takes "2" for a Version.
            if (withValues && type != typeof(Version) && section.Value is { Length: > 0 } value && TypeDescriptor.GetConverter(type) is var converter
                && converter.CanConvertFrom(typeof(string)) && !converter.IsValid(value))
            {
                errors.Add(section.Path, value, type.IsEnum ? string.Join(" or ", Enum.GetNames(type)) : $"a value of the type {type.Name}");
            }

            return;
        }

        var properties = type.GetProperties(BindingFlags.Public | BindingFlags.Instance);
        foreach (var child in section.GetChildren())
        {
            var property = Array.Find(properties, property => property.Name.Equals(child.Key, StringComparison.OrdinalIgnoreCase));
            if (property is null)
            {
                errors.Add(child.Path, null, $"unknown setting; known here: {Suggestion.Among([.. properties.Select(p => p.Name)], child.Key)}");
            }
            else
            {
                Check(child, Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType, errors, withValues);
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
