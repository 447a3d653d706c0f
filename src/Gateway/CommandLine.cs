using System.CommandLine;
using Gateway.Configuration;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Gateway;

/// <summary>The verbs <c>run</c>, <c>check</c> and <c>health</c>. Exit codes: 0 done, 1 failed, 2 the configuration is wrong.</summary>
internal static class CommandLine
{
    private const int ConfigurationIsWrong = 2;

    public static RootCommand Create()
    {
        var config = new Option<string>("--config", "-c")
        {
            Description = "The configuration file; see docs/configuration.md. Environment variables override it (Store__Kind=Redis).",
            DefaultValueFactory = _ => "config/routes.json",
            HelpName = "FILE",
            Recursive = true,
        };
        var urls = new Option<string>("--urls")
        {
            Description = "Where to listen, separated by ; (http://0.0.0.0:8080). Endpoints with certificates go into the section Kestrel.",
            DefaultValueFactory = _ => Environment.GetEnvironmentVariable("ASPNETCORE_URLS") ?? "http://127.0.0.1:8080",
            HelpName = "URLS",
        };

        var run = new Command("run", "Run the gateway (the default).") { urls };
        run.SetAction((parse, stop) => RunAsync(parse.GetRequiredValue(config), parse.GetRequiredValue(urls), stop));
        var check = new Command("check", "Check a configuration: print every error and exit with 2, or print routes and their effective policies.");
        check.SetAction(parse => Check(parse.GetRequiredValue(config)));

        var health = new Command("health", "Ask the gateway that runs with this configuration whether it lives: exit code 0 or 1. For container health checks.");
        health.SetAction((parse, stop) => HealthAsync(parse.GetRequiredValue(config), stop));

        var root = new RootCommand("Makes the HTTP APIs behind it idempotent, by configuration alone.") { config, urls, run, check, health };
        root.SetAction((parse, stop) => RunAsync(parse.GetRequiredValue(config), parse.GetRequiredValue(urls), stop));
        return root;
    }

    private static int Check(string file)
    {
        if (TryLoad(file) is not { } settings)
        {
            return ConfigurationIsWrong;
        }

        Banner.WriteRoutes(Console.Out, settings);
        Banner.WriteWarnings(Console.Out, settings);
        Banner.WriteSum(Console.Out, settings);
        return 0;
    }

    private static async Task<int> HealthAsync(string file, CancellationToken stop)
    {
        if (TryLoad(file) is not { } settings)
        {
            return ConfigurationIsWrong;
        }

        // The first address, as the gateway binds it; a wildcard host is asked on loopback.
        var address = BindingAddress.Parse(settings.Admin.Urls.Split(';')[0].Trim());
        var host = address.Host is "*" or "+" or "0.0.0.0" or "[::]" ? "127.0.0.1" : address.Host;
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(3) };
        try
        {
            using var answer = await client.GetAsync(new Uri($"{address.Scheme}://{host}:{address.Port}/livez"), stop);
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            await Console.Error.WriteLineAsync($"No answer from {settings.Admin.Urls}: {SafeText.OfMessage(e.Message)}");
            return 1;
        }
    }

    private static async Task<int> RunAsync(string file, string urls, CancellationToken stop)
    {
        if (TryLoad(file) is not { } settings)
        {
            return ConfigurationIsWrong;
        }

        WebApplication? built = null;
        try
        {
            built = GatewayApplication.Build(file, settings, urls);
            await built.StartAsync(stop);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or InvalidOperationException)
        {
            // An address in use or not an address, most often, or a file that is not there; the message names it.
            await (built?.DisposeAsync() ?? default);
            await SayWhyAsync(e, urls, settings);
            return 1;
        }

        await using var app = built;
        app.Services.GetRequiredService<StartPhase>().End();
        Banner.Write(Console.Out, app, settings);
        await app.WaitForShutdownAsync(stop);
        return 0;
    }

    private static async Task SayWhyAsync(Exception e, string urls, GatewaySettings settings)
    {
        var inUse = ListenAddresses.InUse(settings.Admin.Urls).Select(url => $"Admin:Urls = {SafeText.OfAddress(url)}: the address is in use, by another gateway perhaps. Give this one another: Admin__Urls=http://127.0.0.1:PORT")
            .Concat(ListenAddresses.InUse(urls).Select(url => $"--urls {SafeText.OfAddress(url)}: the address is in use, by another gateway perhaps. Give this one another: --urls http://127.0.0.1:PORT"))
            .ToList();
        foreach (var why in inUse is [] ? [SafeText.OfMessage(e.Message)] : inUse)
        {
            await Console.Error.WriteLineAsync($"The gateway cannot start: {why}");
        }
    }

    private static GatewaySettings? TryLoad(string file)
    {
        var errors = new ConfigurationErrors();
        var settings = SettingsLoader.Load(file, errors);
        if (settings is null)
        {
            Console.Error.WriteLine($"{file}: {Banner.Count(errors.Errors.Count, "error")}");
            foreach (var error in errors.Errors)
            {
                Console.Error.WriteLine($"  {error}");
            }
        }

        return settings;
    }
}
