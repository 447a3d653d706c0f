using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>An empty database for demo backends, gone with the test.</summary>
internal sealed class DemoDatabase : IAsyncDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("demo-backend-");
    readonly PostgresServer? _postgres;

    DemoDatabase(PostgresServer? postgres)
    {
        _postgres = postgres;
    }

    /// <summary>The part of the backend's command line.</summary>
    public string[] Arguments => _postgres is null
        ? ["--database", Path.Combine(_folder.FullName, "data", "demo.db")] // a folder that does not exist yet: the backend makes it
        : ["--database", "postgres", "--connection", _postgres.ConnectionString];

    public static async Task<DemoDatabase> CreateAsync(DatabaseKind kind) =>
        new(kind == DatabaseKind.Postgres ? await PostgresServer.NewDatabaseAsync() : null);

    public async ValueTask DisposeAsync()
    {
        await (_postgres?.DisposeAsync() ?? default);
        _folder.Delete(recursive: true);
    }
}
