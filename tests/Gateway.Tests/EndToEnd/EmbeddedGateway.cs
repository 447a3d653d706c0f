using System.Collections.Concurrent;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// One gateway process on the embedded store, in front of a backend on Kestrel and one below HTTP, shared by the tests of a
/// class. Tests keep apart by paths of their own: a backend answers by path, and what arrived is looked up by path.
/// </summary>
public sealed class EmbeddedGateway : IAsyncLifetime
{
    /// <summary>Of the policies <c>small</c>, in bytes: requests and kept answers.</summary>
    public const int SmallLimit = 1024;

    /// <summary>Of the route <c>/impatient</c>.</summary>
    public static readonly TimeSpan Impatience = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, Func<HttpContext, Task>> _answers = new();
    private readonly ConcurrentDictionary<string, Func<RawConnection, Task>> _rawAnswers = new();
    private ScriptedBackend? _backend;
    private RawBackend? _raw;
    private GatewayProcess? _process;

    public ScriptedBackend Backend => _backend!;

    public GatewayProcess Process => _process!;

    public string Url => Process.Url;

    public HttpClient Client { get; } = KeyedRequests.NewClient();

    /// <summary>A path that no other test uses, below a route such as <c>/optional</c>; guarded by the default policy if no route names it.</summary>
    public static string NewPath(string route = "/orders") => $"{route}/{Guid.NewGuid():N}";

    public static string NewKey() => Guid.NewGuid().ToString();

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        _raw = RawBackend.Start(AnswerRawAsync);
        var policies = new
        {
            optional = new { Mode = "Optional" },
            small = new { MaxRequestBodyBytes = SmallLimit, Response = new { MaxBodyBytes = SmallLimit } },
        };
        _process = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded,
            policies,
            new GatewayRoute("/{**rest}", _backend.Url),
            new GatewayRoute("/optional/{**rest}", _backend.Url, "optional"),
            new GatewayRoute("/small/{**rest}", _backend.Url, "small"),
            new GatewayRoute("/plain/{**rest}", _backend.Url, Policy: null),
            new GatewayRoute("/impatient/{**rest}", _backend.Url, ActivityTimeout: Impatience),
            new GatewayRoute("/raw/{**rest}", _raw.Url),
            new GatewayRoute("/raw-small/{**rest}", _raw.Url, "small")));
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        await (_process?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
        await (_raw?.DisposeAsync() ?? default);
    }

    /// <summary>How the backend answers at a path, instead of by <see cref="ScriptedBackend.AnswerCreatedAsync"/>.</summary>
    public void AnswerAt(string path, Func<HttpContext, Task> answer) => _answers[path] = answer;

    /// <summary>
    /// What the raw backend does, once the request was read, at a path below <c>/raw</c> or <c>/raw-small</c>. The connection closes when
    /// it returns; at a path without a script the backend answers 200 and keeps the connection.
    /// </summary>
    public void AnswerRawAt(string path, Func<RawConnection, Task> answer) => _rawAnswers[path] = answer;

    public IReadOnlyList<Arrival> ArrivalsAt(string path) => [.. Backend.Ledger.Where(arrival => arrival.Target == path)];

    public IReadOnlyList<Http1Message> RawArrivalsAt(string path) => [.. _raw!.Requests.Where(request => request.Target == path)];

    public Task<Answer> PostAsync(string path, string? key, string body = "{}", params (string Name, string Value)[] headers) =>
        KeyedRequests.PostAsync(Client, Url + path, key, body, headers.Select(header => KeyValuePair.Create(header.Name, header.Value)));

    /// <summary>Sends a POST below HttpClient, with exactly these header lines beside Host and Content-Length.</summary>
    /// <param name="body">Null sends no Content-Length either.</param>
    public async Task<Http1Message> PostRawAsync(string target, string? body, params string[] headerLines) =>
        (await RawClient.ExchangeAsync(Url, RawRequest("POST", target, body, headerLines)))!;

    /// <param name="chunks">The whole chunked body as it goes over the wire.</param>
    public async Task<Http1Message> PostChunkedAsync(string target, string chunks, params string[] headerLines) =>
        (await RawClient.ExchangeAsync(Url, RawRequest("POST", target, null, [.. headerLines, "Transfer-Encoding: chunked"]) + chunks))!;

    public string RawRequest(string method, string target, string? body, params string[] headerLines)
    {
        string[] length = body is null ? [] : [$"Content-Length: {body.Length}"];
        string[] head = [$"{method} {target} HTTP/1.1", $"Host: {new Uri(Url).Authority}", .. headerLines, .. length];
        return string.Join("\r\n", head) + "\r\n\r\n" + body;
    }

    private Task AnswerAsync(HttpContext context) =>
        _answers.TryGetValue(context.Request.Path, out var answer) ? answer(context) : Backend.AnswerCreatedAsync(context);

    private async Task AnswerRawAsync(RawConnection connection)
    {
        while (await connection.ReadRequestAsync() is { } request)
        {
            if (_rawAnswers.TryGetValue(request.Target, out var answer))
            {
                await answer(connection);
                return;
            }

            await connection.SendResponseAsync(200, "ok", $"X-Connection: {connection.Number}");
        }
    }
}
