using System.Diagnostics;
using Npgsql;

namespace Gateway.Tests.Support;

/// <summary>
/// Where a real PostgreSQL comes from; when there is none, tests that need it are skipped or fail as those do that need Redis (see
/// <see cref="RedisInstallation"/>). The server refuses to run as root: then it runs as the user <c>postgres</c> of Debian's package.
/// </summary>
internal static class PostgresInstallation
{
    private const string Missing =
        "PostgreSQL is missing: install Debian's postgresql (./test.sh does). Most tests are content with POSTGRES_URL " +
        "(postgres://user:password@host:port/database) or a Docker engine.";

    /// <summary>
    /// The connection string of POSTGRES_URL, which may be a URL or already such a string; null when it names none. The
    /// user must be allowed to create databases: tests make their own and drop them.
    /// </summary>
    public static string? ExternalServer { get; } =
        Environment.GetEnvironmentVariable("POSTGRES_URL") is { Length: > 0 } url ? ToConnectionString(url) : null;

    /// <summary>Where the server comes from that tests share.</summary>
    public static SharedServerSource Shared => SharedServers.Choose(ExternalServer is not null, Programs is not null);

    private static string? Programs { get; } = FindPrograms();

    /// <summary>Null when the test runs.</summary>
    /// <param name="ownServer">The test stops its server or needs several, so that a shared one will not do.</param>
    public static string? SkipReason(bool ownServer) => SharedServers.SkipReason(CanServe(ownServer), RedisInstallation.IsContinuousIntegration, Missing);

    /// <summary>False means: leave the fixture alone, the tests that would use it are skipped.</summary>
    public static bool IsUsable(bool ownServer) => SkipReason(ownServer) is null;

    /// <summary>A program of the server's package, to be started by the user that the server runs as.</summary>
    /// <exception cref="InvalidOperationException">There is no PostgreSQL server on this machine.</exception>
    public static ProcessStartInfo Program(string name, params IEnumerable<string> arguments) =>
        AsServerUser(new(Path.Combine(Programs ?? throw new InvalidOperationException(Missing), name), arguments));

    /// <summary>An empty directory that belongs to the user that the server runs as; what is left of it when the tests end is deleted then.</summary>
    public static async Task<DirectoryInfo> NewDirectoryAsync()
    {
        var directory = Directory.CreateTempSubdirectory("gateway-postgres-");
        ChildProcesses.AtTheEnd($"sleep 2; rm -rf '{directory.FullName}'");
        if (Environment.IsPrivilegedProcess)
        {
            await RunAsync(new("chown", ["postgres", directory.FullName]));
        }

        return directory;
    }

    /// <summary>Returns when the program has ended well.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message has its output.</exception>
    public static async Task RunAsync(ProcessStartInfo info)
    {
        info.RedirectStandardOutput = info.RedirectStandardError = true;
        using var process = Process.Start(info)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{info.FileName} {string.Join(' ', info.ArgumentList)} failed:\n{await output}{await errors}");
        }
    }

    public static ProcessStartInfo AsServerUser(ProcessStartInfo info)
    {
        if (Environment.IsPrivilegedProcess)
        {
            info.UserName = "postgres";
        }

        info.WorkingDirectory = "/";
        return info;
    }

    private static bool CanServe(bool ownServer) => ownServer ? Programs is not null : Shared is not SharedServerSource.None;

    // Debian keeps the server's programs out of PATH, in a directory for each major version.
    private static string? FindPrograms()
    {
        const string Debian = "/usr/lib/postgresql";
        var versions = Directory.Exists(Debian) ? Directory.GetDirectories(Debian) : [];
        return versions
            .Where(directory => int.TryParse(Path.GetFileName(directory), out _))
            .OrderByDescending(directory => int.Parse(Path.GetFileName(directory), provider: null))
            .Select(directory => Path.Combine(directory, "bin"))
            .Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
            .FirstOrDefault(directory => File.Exists(Path.Combine(directory, "postgres")) && File.Exists(Path.Combine(directory, "initdb")));
    }

    private static string ToConnectionString(string url)
    {
        if (!url.StartsWith("postgres", StringComparison.Ordinal) || !Uri.TryCreate(url, UriKind.Absolute, out var uri))
        {
            return url;
        }

        var user = uri.UserInfo.Split(':', 2).Select(Uri.UnescapeDataString).ToArray();
        return new NpgsqlConnectionStringBuilder
        {
            Host = uri.Host,
            Port = uri.IsDefaultPort ? 5432 : uri.Port,
            Username = user[0].Length > 0 ? user[0] : null,
            Password = user.Length > 1 ? user[1] : null,
            Database = uri.AbsolutePath.Length > 1 ? Uri.UnescapeDataString(uri.AbsolutePath[1..]) : "postgres",
        }.ConnectionString;
    }
}
