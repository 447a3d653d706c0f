using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Gateway.Forwarding;

/// <summary>What the gateway changes in every route's forwarding, beside the route's own transforms.</summary>
internal static class ForwardingTransforms
{
    /// <summary>Of answers whose first byte may be long in coming.</summary>
    private static readonly string[] Streams = ["text/event-stream", "application/grpc", "application/x-ndjson", "application/jsonl", "application/json-seq", "multipart/x-mixed-replace"];

    private static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    /// <param name="builder">Of one route.</param>
    /// <param name="hasProxiesBefore">Some proxies before the gateway are believed.</param>
    public static void Add(TransformBuilderContext builder, bool hasProxiesBefore)
    {
        if (hasProxiesBefore)
        {
            TrustedProxies.AddTo(builder);
        }

        var route = builder.Route;
        if (!Changes(route, "Path") && !ChangesQuery(route))
        {
            builder.AddRequestTransform(UseRawTarget);
        }
        else if (!ChangesQuery(route) && HasPrefixesOnly(route))
        {
            builder.AddRequestTransform(transform => UseRawTarget(transform, route));
        }
        else
        {
            builder.AddRequestTransform(KeepEncodedSlashes);
        }

        builder.AddRequestTransform(RemoveNominatedFields);
        builder.AddRequestTransform(AttachTrace);
        builder.AddResponseTransform(SendHeadOfStream); // the last one: what comes after it could change no field any more
    }

    /// <summary>Whether queries go out other than they came in.</summary>
    public static bool ChangesQuery(RouteConfig route) => Changes(route, "Query");

    /// <summary>A route that rewrites paths or queries keeps YARP's target, because its transforms work on the decoded path.</summary>
    private static bool Changes(RouteConfig route, string what) =>
        route.Transforms?.Any(transform => transform.Keys.Any(key => key.StartsWith(what, StringComparison.OrdinalIgnoreCase))) is true;

    private static ValueTask UseRawTarget(RequestTransformContext transform)
    {
        var raw = transform.HttpContext.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (RequestTarget.IsPlain(raw))
        {
            transform.ProxyRequest.RequestUri = new Uri(string.Concat(transform.DestinationPrefix.AsSpan().TrimEnd('/'), raw), AsWritten);
        }

        return default;
    }

    private static bool HasPrefixesOnly(RouteConfig route) => route.Transforms!.All(transform => transform.Keys.All(key =>
        !key.StartsWith("Path", StringComparison.OrdinalIgnoreCase)
        || key.Equals("PathPrefix", StringComparison.OrdinalIgnoreCase)
        || key.Equals("PathRemovePrefix", StringComparison.OrdinalIgnoreCase)));

    /// <summary>The raw target with other prefixes; unless it spells one in another way than the route, which YARP has understood.</summary>
    private static ValueTask UseRawTarget(RequestTransformContext transform, RouteConfig route)
    {
        var raw = transform.HttpContext.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var query = raw.IndexOf('?', StringComparison.Ordinal);
        if (RequestTarget.IsPlain(raw) && ProbePath.Of(route, query < 0 ? raw : raw[..query], transform.HttpContext.Request.Path) is { } path)
        {
            transform.ProxyRequest.RequestUri = new Uri(string.Concat(transform.DestinationPrefix.AsSpan().TrimEnd('/'), path, query < 0 ? "" : raw.AsSpan(query)), AsWritten);
            return default;
        }

        return KeepEncodedSlashes(transform);
    }

    /// <summary>
    /// The server decodes paths but for <c>%2F</c>, and YARP encodes the <c>%</c> of it again: the backend would see another resource. Where the client
    /// has written no <c>%25</c>, every <c>%252F</c> comes from that.
    /// </summary>
    private static ValueTask KeepEncodedSlashes(RequestTransformContext transform)
    {
        var raw = transform.HttpContext.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (!raw.Contains("%2F", StringComparison.OrdinalIgnoreCase) || raw.Contains("%25", StringComparison.Ordinal))
        {
            return default;
        }

        var made = transform.ProxyRequest.RequestUri
            ?? RequestUtilities.MakeDestinationAddress(transform.DestinationPrefix, transform.Path, transform.Query.QueryString);
        transform.ProxyRequest.RequestUri = new Uri(made.AbsoluteUri.Replace("%252F", "%2F", StringComparison.OrdinalIgnoreCase), AsWritten);
        return default;
    }

    /// <summary>A proxy must remove the fields that Connection names (RFC 9110, section 7.6.1); YARP removes Connection alone.</summary>
    private static ValueTask RemoveNominatedFields(RequestTransformContext transform)
    {
        var connection = transform.HttpContext.Request.Headers.Connection;
        if (connection.Count == 0 || (connection.Count == 1 && connection[0] is "keep-alive" or "close"))
        {
            return default;
        }

        foreach (var name in connection.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            if (!name.Equals("Upgrade", StringComparison.OrdinalIgnoreCase))
            {
                RequestTransform.RemoveHeader(transform, name);
            }
        }

        return default;
    }

    /// <summary>YARP sends status and fields with the first byte. Of a stream, that it began is what its reader waits for.</summary>
    private static async ValueTask SendHeadOfStream(ResponseTransformContext transform)
    {
        var response = transform.HttpContext.Response;
        if (transform.ProxyResponse is not null && IsStream(response.ContentType))
        {
            try
            {
                await response.Body.FlushAsync(transform.HttpContext.RequestAborted);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException)
            {
                // The client is gone. That is no fault of the answer's fields: whoever reads its body decides what becomes of it.
            }
        }
    }

    /// <summary>Asked of every answer, so without an enumerator.</summary>
    private static bool IsStream(string? contentType)
    {
        foreach (var stream in Streams)
        {
            if (contentType?.StartsWith(stream, StringComparison.OrdinalIgnoreCase) is true)
            {
                return true;
            }
        }

        return false;
    }

    private static ValueTask AttachTrace(RequestTransformContext transform)
    {
        if (transform.HttpContext.Features.Get<ForwardTrace>() is { } trace)
        {
            transform.ProxyRequest.Options.Set(ForwardTrace.Key, trace);
        }

        return default;
    }
}
