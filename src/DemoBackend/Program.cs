namespace DemoBackend;

/// <summary>
/// An unmodified legacy API: nothing in it knows what an idempotency key is. The gateway is measured against it, so its races are real
/// and must stay. Each system is one file; <see cref="Faults"/> makes any request fail on demand; <see cref="Stats"/> counts the damage.
/// </summary>
/// <remarks>
/// <c>--urls URL</c> (port 0 picks a free one), <c>--database FILE</c>, <c>--round-trip MILLISECONDS</c>.
/// No top-level statements: two projects with a public <c>Program</c> would be ambiguous in the tests.
/// </remarks>
internal static class DemoBackendApp
{
    const string DefaultUrl = "http://127.0.0.1:5001";
    const string DefaultDatabase = "data/demo.db";
    const int DefaultRoundTripMilliseconds = 20;

    static async Task Main(string[] args)
    {
        await using var app = Build(args);
        await app.StartAsync();
        Console.WriteLine($"DemoBackend listening on {string.Join(" ", app.Urls)}");
        await app.WaitForShutdownAsync();
    }

    public static WebApplication Build(string[] args)
    {
        var builder = WebApplication.CreateSlimBuilder(args);
        var settings = builder.Configuration;

        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        if (settings["urls"] is null && settings["http_ports"] is null)
            builder.WebHost.UseUrls(DefaultUrl);

        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(services => new Database(
            settings["database"] ?? DefaultDatabase,
            TimeSpan.FromMilliseconds(settings.GetValue("round-trip", DefaultRoundTripMilliseconds)),
            services.GetRequiredService<TimeProvider>()));

        var app = builder.Build();

        app.Services.GetRequiredService<Database>().Create(Cart.Table, Seats.Table, UrlShortener.Table);
        app.UseMiddleware<Faults>();
        Cart.Map(app);
        Seats.Map(app);
        UrlShortener.Map(app);
        Stats.Map(app);
        return app;
    }
}
