// The baseline: YARP as it comes, with the gateway's host, server and logging settings and none of its code.
var builder = WebApplication.CreateEmptyBuilder(new() { ApplicationName = "PlainYarp" });
builder.Configuration.AddJsonFile(Path.GetFullPath(args[0])).AddEnvironmentVariables();
builder.WebHost.UseKestrel(kestrel => kestrel.AddServerHeader = false).UseUrls("http://127.0.0.1:0");
builder.Logging.AddFilter("Microsoft", LogLevel.Warning)
    .AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error)
    .AddFilter("Yarp", LogLevel.Warning)
    .AddSimpleConsole(console => console.SingleLine = true);
builder.Services.AddMetrics().AddRouting().AddAuthorization().AddCors();
builder.Services.AddReverseProxy().LoadFromConfig(builder.Configuration.GetSection("ReverseProxy"));

await using var app = builder.Build();
app.MapReverseProxy();
await app.StartAsync();
Console.WriteLine($"Listening on {string.Join(", ", app.Urls)}");
await app.WaitForShutdownAsync();
