using Idempotency.Yarp.Forwarding;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Gateway.Forwarding;

/// <summary>The backend sees the target as the client has written it, where the route lets it.</summary>
internal static class RawTargets
{
    private static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    /// <param name="builder">Of one route.</param>
    public static void AddTo(TransformBuilderContext builder)
    {
        var route = builder.Route;
        if (!ForwardingTransforms.Changes(route, "Path") && !ForwardingTransforms.ChangesQuery(route))
        {
            builder.AddRequestTransform(UseRawTarget);
        }
        else if (!ForwardingTransforms.ChangesQuery(route) && HasPrefixesOnly(route))
        {
            builder.AddRequestTransform(transform => UseRawTarget(transform, route));
        }
        else
        {
            builder.AddRequestTransform(KeepEncodedSlashes);
        }
    }

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
}
