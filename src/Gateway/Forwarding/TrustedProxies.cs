using System.Net;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Gateway.Forwarding;

/// <summary>
/// Whom a request is from, where proxies stand before the gateway. A trusted one is believed for the one before it, and so on, for as many as there
/// are said to be: their client's address and scheme become the request's, and what they said goes on to the backend, with the peer behind it. What
/// anybody else says in these fields is gone, so that a field that is there was believed.
/// </summary>
/// <param name="networks">Where trusted proxies are.</param>
/// <param name="hops">How many stand one behind the other.</param>
internal sealed class TrustedProxies(IReadOnlyList<IPNetwork> networks, int hops)
{
    private const string For = "X-Forwarded-For";
    private const string Proto = "X-Forwarded-Proto";
    private const string Host = "X-Forwarded-Host";
    private const string Prefix = "X-Forwarded-Prefix";
    private const string Forwarded = "Forwarded";

    /// <summary>Fields by which proxies say whom they speak for.</summary>
    private static readonly string[] Fields = [For, Proto, Host, Prefix, "X-Forwarded-Port", Forwarded];

    /// <summary>Hands on what was believed, and tells the backend whom the request is from where nobody did.</summary>
    public static void AddTo(TransformBuilderContext builder)
    {
        if (builder.UseDefaultForwarders is false)
        {
            return; // the route says how
        }

        builder.UseDefaultForwarders = false;
        builder.AddRequestTransform(HandOn);
    }

    /// <summary>Before anything looks at the request.</summary>
    public void Look(HttpContext context)
    {
        var headers = context.Request.Headers;
        var peer = context.Connection.RemoteIpAddress is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4() : context.Connection.RemoteIpAddress;
        var list = string.Join(',', headers[For].AsEnumerable());
        var elements = headers[Forwarded].Count == 0 ? null : ForwardedElements.Parse(string.Join(',', headers[Forwarded].AsEnumerable()));
        var (proto, host) = (string.Join(',', headers[Proto].AsEnumerable()), string.Join(',', headers[Host].AsEnumerable()));
        foreach (var field in Fields)
        {
            headers.Remove(field);
        }

        if (peer is null || !IsTrusted(peer))
        {
            return;
        }

        var nodes = list.Length > 0 ? list.Split(',') : elements is null ? [] : [.. elements.Select(element => element.For ?? "")];
        List<string> believed = [peer.ToString()];
        var client = peer;
        while (believed.Count <= Math.Min(hops, nodes.Length) && IsTrusted(client) && ForwardedElements.AddressOf(nodes[^believed.Count]) is { } before)
        {
            client = before;
            believed.Insert(0, client.ToString());
        }

        // The entry of the outermost proxy that is believed; of a field that is not a list, the only one.
        var depth = Math.Max(1, believed.Count - 1);
        var scheme = Nearest(proto, depth) ?? Nearest(elements, depth)?.Proto;
        var authority = Nearest(host, depth) ?? Nearest(elements, depth)?.Host;
        if (elements is not null)
        {
            headers[Forwarded] = string.Join(", ", elements.TakeLast(depth).Select(element => element.Text).Append(ForwardedElements.Write(peer, context.Request.Scheme, context.Request.Host.Value ?? "")));
        }

        headers[For] = string.Join(", ", believed);
        context.Connection.RemoteIpAddress = client;
        if (scheme is not null && (scheme.Equals("https", StringComparison.OrdinalIgnoreCase) || scheme.Equals("http", StringComparison.OrdinalIgnoreCase)))
        {
            context.Request.Scheme = scheme.ToLowerInvariant();
        }

        if (authority is not null && Uri.TryCreate($"http://{authority}/", UriKind.Absolute, out var uri) && uri is { UserInfo.Length: 0, PathAndQuery: "/", Fragment.Length: 0 })
        {
            headers[Host] = authority;
        }
    }

    private static ValueTask HandOn(RequestTransformContext transform)
    {
        var request = transform.HttpContext.Request;
        var client = transform.HttpContext.Connection.RemoteIpAddress?.ToString();
        Set(transform, For, request.Headers[For] is { Count: > 0 } chain ? chain.ToString() : client);
        Set(transform, Proto, request.Scheme);
        Set(transform, Host, request.Headers[Host] is { Count: > 0 } host ? host.ToString() : request.Host.Value);
        Set(transform, Prefix, request.PathBase.Value);
        Set(transform, Forwarded, request.Headers[Forwarded].ToString());
        return default;
    }

    private static void Set(RequestTransformContext transform, string name, string? value)
    {
        RequestTransform.RemoveHeader(transform, name);
        if (!string.IsNullOrEmpty(value))
        {
            RequestTransform.AddHeader(transform, name, value);
        }
    }

    private static string? Nearest(string list, int depth)
    {
        var items = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return items.Length == 0 ? null : items[^Math.Min(depth, items.Length)];
    }

    private static ForwardedElements.Element? Nearest(List<ForwardedElements.Element>? elements, int depth) =>
        elements is null ? null : elements[^Math.Min(depth, elements.Count)];

    private bool IsTrusted(IPAddress address) => networks.Any(network => network.Contains(address));
}
