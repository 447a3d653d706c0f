using System.Text.Json;
using DemoBackend;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Gateway.Tests.Demo;

/// <summary>A demo backend in the test's own process, on real Kestrel, with its foreign systems.</summary>
internal sealed class DemoHost : IAsyncDisposable
{
    static readonly HttpClient Client = KeyedRequests.NewClient();

    readonly WebApplication _app;

    DemoHost(WebApplication app)
    {
        _app = app;
    }

    /// <summary>Without a trailing slash, as is the other.</summary>
    public string Url => _app.Urls.Single();

    public string ForeignUrl => Part<ForeignSystems>().Url.GetLeftPart(UriPartial.Authority);

    /// <summary>A part of it.</summary>
    public T Part<T>() where T : notnull => _app.Services.GetRequiredService<T>();

    public Database Database => _app.Services.GetRequiredService<Database>();

    public static async Task<DemoHost> StartAsync(DemoDatabase database, params string[] options)
    {
        var app = DemoBackendApp.Build(["--urls", "http://127.0.0.1:0", .. database.Arguments, .. options]);
        await app.StartAsync();
        return new DemoHost(app);
    }

    public Task<Answer> PostAsync(string path, object body, string? key = null, params (string Name, string Value)[] headers) =>
        PostAsync(Url, path, body, key, headers);

    public Task<Answer> PostForeignAsync(string path, object body, string? key = null, params (string Name, string Value)[] headers) =>
        PostAsync(ForeignUrl, path, body, key, headers);

    public Task<Answer> GetAsync(string path) => KeyedRequests.SendAsync(Client, HttpMethod.Get, Url + path, key: null, []);

    public Task<Answer> EmptyAsync() => KeyedRequests.SendAsync(Client, HttpMethod.Delete, Url + "/stats", key: null, []);

    /// <summary>One counter of <c>/stats</c>.</summary>
    public async Task<int> CountAsync(string system, string counter) =>
        JsonElement.Parse((await GetAsync("/stats")).Body).GetProperty(system).GetProperty(counter).GetInt32();

    public Task<AccountCounts> CountAccountsAsync() => CountAsync<AccountCounts>("accounts");

    public Task<UserCounts> CountUsersAsync() => CountAsync<UserCounts>("users");

    /// <summary>Sends requests all at once; the statuses of the answers.</summary>
    public static async Task<int[]> InParallelAsync(int count, Func<int, Task<Answer>> send) =>
        [.. (await Task.WhenAll(Enumerable.Range(0, count).Select(send))).Select(answer => answer.Status)];

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    async Task<T> CountAsync<T>(string system) =>
        JsonElement.Parse((await GetAsync("/stats")).Body).GetProperty(system).Deserialize<T>(JsonSerializerOptions.Web)!;

    static Task<Answer> PostAsync(string url, string path, object body, string? key, (string Name, string Value)[] headers) =>
        KeyedRequests.PostAsync(
            Client, url + path, key, body as string ?? JsonSerializer.Serialize(body),
            headers.Select(header => KeyValuePair.Create(header.Name, header.Value)));
}
