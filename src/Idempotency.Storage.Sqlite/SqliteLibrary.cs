using Microsoft.Data.Sqlite;

namespace Idempotency.Storage.Sqlite;

/// <summary>
/// Which SQLite libraries the embedded store may be kept with. Up to 3.51.2, a file in WAL mode can be corrupted when two connections of
/// different processes write or checkpoint at the same moment (the WAL-reset bug, https://sqlite.org/wal.html). Several gateways may share
/// the file, and none of them can know whether it is alone: so it is never opened with such a library.
/// </summary>
internal static class SqliteLibrary
{
    private static readonly Version Fixed = new(3, 51, 3);

    /// <summary>Of the library that is loaded: what <c>sqlite_version()</c> says.</summary>
    public static string LoadedVersion
    {
        get
        {
            using var none = new SqliteConnection(); // the library is loaded with the first one; it need not be opened
            return none.ServerVersion;
        }
    }

    /// <exception cref="InvalidOperationException">It has the bug.</exception>
    public static void Require(string version)
    {
        if (Refusal(version) is { } reason)
        {
            throw new InvalidOperationException(reason);
        }
    }

    /// <summary>Why the embedded store is not kept with this version; null when it may be.</summary>
    public static string? Refusal(string version) => Version.TryParse(version, out var found) && found >= Fixed
        ? null
        : $"the SQLite library that was loaded is version {version}, and Store:Kind Embedded needs {Fixed} or later: before it, processes that share "
            + "the file can corrupt it (the WAL-reset bug, https://sqlite.org/wal.html), and a gateway cannot know whether it is alone. The build brings a "
            + "library along (libe_sqlite3 beside the program); use that one, or another store";
}
