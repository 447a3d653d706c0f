namespace Gateway.Tests.Repository;

/// <summary>The files of the repository itself, found by walking up from the test assembly to Gateway.sln.</summary>
internal static class RepositoryFiles
{
    public static string Root { get; } = FindRoot();

    public static string PathOf(string relative) => Path.Combine(Root, relative);

    public static string Read(string relative) => File.ReadAllText(PathOf(relative));

    /// <summary>Files below a folder, relative to the root and with forward slashes; without what builds leave behind.</summary>
    public static IEnumerable<string> Find(string folder, string pattern) =>
        Directory.EnumerateFiles(PathOf(folder), pattern, SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))
            .Where(file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Gateway.sln")))
        {
            directory = directory.Parent ?? throw new InvalidOperationException($"No Gateway.sln above {AppContext.BaseDirectory}.");
        }

        return directory.FullName;
    }
}
