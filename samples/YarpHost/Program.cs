using Yarp.ReverseProxy.Configuration;

// A YARP host of one's own whose routes come from code: POST /orders is idempotent, everything else is passed on as it is.
var builder = WebApplication.CreateBuilder(args);
var backend = builder.Configuration["Backend"] ?? "http://127.0.0.1:5001";

RouteConfig[] routes =
[
    new() { RouteId = "orders", ClusterId = "backend", Match = new() { Path = "/orders/{**rest}" }, Metadata = new Dictionary<string, string> { ["Idempotency"] = "default" } },
    new() { RouteId = "rest", ClusterId = "backend", Match = new() { Path = "/{**rest}" }, Order = 1 },
];
ClusterConfig[] clusters = [new() { ClusterId = "backend", Destinations = new Dictionary<string, DestinationConfig> { ["one"] = new() { Address = backend } } }];

builder.Services.AddReverseProxy()
    .LoadFromMemory(routes, clusters)
    .AddIdempotency(builder.Configuration.GetSection("Idempotency"))
    .UseSqlite(builder.Configuration["Database"] ?? "data/idempotency.db");

var app = builder.Build();
app.MapIdempotencySpecification();
app.MapReverseProxy(proxy =>
{
    proxy.UseIdempotency();
    proxy.UseSessionAffinity();
    proxy.UseLoadBalancing();
    proxy.UsePassiveHealthChecks();
});
app.Run();
