using System.Collections.Concurrent;

// The backend of the benchmark: as little work as possible, one fixed answer, and a count of what was executed under each key.
// GET /_executions tells the counts, DELETE /_executions starts them anew.
const string KeyHeader = "Idempotency-Key";
var answer = """{"id":"order-01","status":"created","items":[{"sku":"book-1","quantity":2,"price":"12.50"}],"total":"25.00","currency":"EUR"}"""u8.ToArray();
var executions = new ConcurrentDictionary<string, int>();

var builder = WebApplication.CreateEmptyBuilder(new() { ApplicationName = "Backend" });
builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.AddServerHeader = false).UseUrls("http://127.0.0.1:0");

await using var app = builder.Build();
app.Run(context => context.Request.Path == "/_executions" ? CountsAsync(context) : ExecuteAsync(context));
await app.StartAsync();
Console.WriteLine($"Listening on {string.Join(", ", app.Urls)}");
await app.WaitForShutdownAsync();

async Task ExecuteAsync(HttpContext context)
{
    await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
    if (context.Request.Headers.TryGetValue(KeyHeader, out var key))
    {
        executions.AddOrUpdate(key.ToString(), 1, (_, count) => count + 1);
    }

    var response = context.Response;
    response.StatusCode = StatusCodes.Status201Created;
    response.Headers.Location = "/orders/order-01";
    response.ContentType = "application/json";
    response.ContentLength = answer.Length;
    await response.BodyWriter.WriteAsync(answer, context.RequestAborted);
}

async Task CountsAsync(HttpContext context)
{
    if (HttpMethods.IsDelete(context.Request.Method))
    {
        executions.Clear();
    }

    var counts = executions.Values;
    await context.Response.WriteAsync(
        $$"""{"keys":{{counts.Count}},"executions":{{counts.Sum()}},"max_per_key":{{counts.DefaultIfEmpty().Max()}}}""", context.RequestAborted);
}
