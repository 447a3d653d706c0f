namespace Idempotency.Storage;

/// <summary>Reads the Lua, SQL and HTML files that are built into an assembly beside the code that uses them.</summary>
internal static class EmbeddedResource
{
    /// <param name="user">A type of that assembly.</param>
    /// <param name="name">Of the file.</param>
    public static string Read(Type user, string name)
    {
        using var stream = user.Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"{user.Assembly.GetName().Name} lacks the resource {name}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
