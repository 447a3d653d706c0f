using System.Data.Common;

namespace DemoBackend;

/// <summary>
/// The legacy APIs of the seeds: nothing in them knows what an idempotency key is, save <see cref="Accounts"/>. The gateway is measured
/// against them, so their races are real and must stay. Each system is one file; <see cref="Faults"/> makes any request fail on demand;
/// <see cref="Stats"/> counts the damage.
/// </summary>
/// <remarks>
/// <list type="table">
/// <item><term>--urls URL</term><description>where to listen; port 0 picks a free one</description></item>
/// <item><term>--database FILE|postgres</term><description>a SQLite file (default), or the server of --connection</description></item>
/// <item><term>--connection STRING</term><description>Npgsql's, such as "Host=127.0.0.1;Username=demo;Database=demo"</description></item>
/// <item><term>--round-trip MS</term><description>of <see cref="Database.RoundTripAsync"/></description></item>
/// <item><term>--foreign-urls URL</term><description>where the <see cref="ForeignSystems"/> listen</description></item>
/// <item><term>--core-banking URL, --registry URL</term><description>where they are called, if elsewhere</description></item>
/// <item><term>--foreign-timeout MS</term><description>how long they may take to answer</description></item>
/// <item><term>--completer-interval MS</term><description>how often the <see cref="AccountCompleter"/> looks; 0 for never</description></item>
/// <item><term>--completer-after MS</term><description>how long nobody has worked on what it takes up</description></item>
/// </list>
/// No top-level statements: two projects with a public <c>Program</c> would be ambiguous in the tests.
/// </remarks>
internal static class DemoBackendApp
{
    const string DefaultUrl = "http://127.0.0.1:5001";

    static async Task<int> Main(string[] args)
    {
        try
        {
            await using var app = Build(args);
            await app.StartAsync();
            Console.WriteLine($"Foreign systems at {app.Services.GetRequiredService<ForeignSystems>().Url.GetLeftPart(UriPartial.Authority)}");
            Console.WriteLine($"DemoBackend listening on {string.Join(" ", app.Urls)}");
            await app.WaitForShutdownAsync();
            return 0;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or DbException or IOException)
        {
            await Console.Error.WriteLineAsync($"DemoBackend cannot start: {e.Message}");
            return 1;
        }
    }

    /// <exception cref="ArgumentException">The command line says --database postgres, but not where that is.</exception>
    /// <exception cref="FormatException">A URL or a number of the command line is none.</exception>
    /// <exception cref="DbException">The database cannot be reached or used.</exception>
    public static WebApplication Build(string[] args)
    {
        var builder = WebApplication.CreateSlimBuilder(args);
        var settings = DemoSettings.Read(builder.Configuration);

        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        if (builder.Configuration["urls"] is null && builder.Configuration["http_ports"] is null)
            builder.WebHost.UseUrls(DefaultUrl);

        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(services => Open(settings, services.GetRequiredService<TimeProvider>()));
        builder.Services.AddSingleton<ForeignCalls>();
        builder.Services.AddSingleton<IdempotencyKeys>();
        builder.Services.AddSingleton<AccountWalk>();

        // In the order in which they start; they stop the other way round, after the server.
        builder.Services.AddSingleton<ForeignSystems>();
        builder.Services.AddHostedService(services => services.GetRequiredService<ForeignSystems>());
        builder.Services.AddHostedService<WelcomeMails>();
        builder.Services.AddHostedService<AccountCompleter>();

        var app = builder.Build();

        app.Services.GetRequiredService<Database>().Create(
            Cart.Table, Seats.Table, UrlShortener.Table, Users.Table, WelcomeMails.Tables,
            IdempotencyKeys.Table, AccountRows.Table, ForeignSystems.Tables);
        app.UseMiddleware<Faults>();
        Cart.Map(app);
        Seats.Map(app);
        UrlShortener.Map(app);
        Users.Map(app);
        Accounts.Map(app);
        LegacyAccounts.Map(app);
        Stats.Map(app);
        return app;
    }

    static Database Open(DemoSettings settings, TimeProvider time) => settings switch
    {
        { Database: "postgres", Connection: { } connection } => new PostgresDatabase(connection, settings.RoundTrip, time),
        { Database: "postgres" } => throw new ArgumentException("--database postgres wants --connection, such as \"Host=127.0.0.1;Database=demo\"."),
        { Database: var file } => new SqliteDatabase(file, settings.RoundTrip, time),
    };
}
