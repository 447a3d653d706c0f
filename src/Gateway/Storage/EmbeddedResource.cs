namespace Gateway.Storage;

/// <summary>Reads the Lua, SQL and HTML files that are built into the assembly beside the code that uses them.</summary>
internal static class EmbeddedResource
{
    public static string Read(string name)
    {
        using var stream = typeof(EmbeddedResource).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The assembly lacks the resource {name}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
