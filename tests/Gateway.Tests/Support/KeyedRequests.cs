using System.Net.Http.Headers;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>
/// Requests with an idempotency key, sent by a client that does nothing on its own: no redirects, no cookies, no proxy, no
/// decompression, and always a content, because HttpClient silently sends a request without one a second time when its
/// connection breaks.
/// </summary>
public static class KeyedRequests
{
    public static HttpClient NewClient() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,
        MaxConnectionsPerServer = int.MaxValue,
    })
    {
        Timeout = Bounds.Wait,
    };

    /// <summary>
    /// Posts text as UTF-8, with Content-Type application/json unless the headers name another. The key is sent as given; null
    /// sends none.
    /// </summary>
    public static Task<Answer> PostAsync(
        HttpClient client,
        string url,
        string? key,
        string body = "{}",
        IEnumerable<KeyValuePair<string, string>>? headers = null,
        CancellationToken cancellation = default) =>
        SendAsync(client, HttpMethod.Post, url, key, Encoding.UTF8.GetBytes(body), headers, cancellation);

    /// <summary>As <see cref="PostAsync"/>, with any method and any bytes.</summary>
    public static async Task<Answer> SendAsync(
        HttpClient client,
        HttpMethod method,
        string url,
        string? key,
        byte[] body,
        IEnumerable<KeyValuePair<string, string>>? headers = null,
        CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(method, url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        if (key is not null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        }

        foreach (var (name, value) in headers ?? [])
        {
            Add(request, name, value);
        }

        using var response = await client.SendAsync(request, cancellation);
        return await Answer.ReadAsync(response, cancellation);
    }

    private static void Add(HttpRequestMessage request, string name, string value)
    {
        if (name.Equals("Content-Type", StringComparison.OrdinalIgnoreCase))
        {
            request.Content!.Headers.Remove(name);
        }

        if (!request.Headers.TryAddWithoutValidation(name, value) && !request.Content!.Headers.TryAddWithoutValidation(name, value))
        {
            throw new ArgumentException($"HttpClient refuses the header '{name}'; use RawClient.", nameof(name));
        }
    }
}
