using Xunit;

namespace Gateway.Tests.Demo;

/// <summary>A test class over one demo backend with an empty database; subclasses choose which.</summary>
/// <param name="options">More of the backend's command line.</param>
public abstract class DemoBackendTest(DatabaseKind kind, params string[] options) : IAsyncLifetime
{
    DemoDatabase? _database;
    DemoHost? _demo;

    protected DatabaseKind Kind { get; } = kind;

    internal DemoDatabase Database => _database!;

    internal DemoHost Demo => _demo!;

    public virtual async Task InitializeAsync()
    {
        _database = await DemoDatabase.CreateAsync(Kind);
        _demo = await DemoHost.StartAsync(Database, options);
    }

    public virtual async Task DisposeAsync()
    {
        await (_demo?.DisposeAsync() ?? default);
        await (_database?.DisposeAsync() ?? default);
    }

    /// <summary>The backend ends and comes again, with other options if given.</summary>
    protected async Task RestartAsync(params string[] otherOptions)
    {
        await Demo.DisposeAsync();
        _demo = await DemoHost.StartAsync(Database, otherOptions.Length > 0 ? otherOptions : options);
    }
}
