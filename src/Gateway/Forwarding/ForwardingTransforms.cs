using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Gateway.Forwarding;

/// <summary>What the gateway changes in every route's forwarding, beside the route's own transforms.</summary>
internal static class ForwardingTransforms
{
    private static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    /// <param name="builder">Of one route.</param>
    /// <param name="hasProxiesBefore">Some proxies before the gateway are believed.</param>
    public static void Add(TransformBuilderContext builder, bool hasProxiesBefore)
    {
        if (hasProxiesBefore)
        {
            TrustedProxies.AddTo(builder);
        }

        if (!Changes(builder.Route, "Path") && !ChangesQuery(builder.Route))
        {
            builder.AddRequestTransform(UseRawTarget);
        }

        builder.AddRequestTransform(RemoveNominatedFields);
        builder.AddRequestTransform(AttachTrace);
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

    private static ValueTask AttachTrace(RequestTransformContext transform)
    {
        if (transform.HttpContext.Features.Get<ForwardTrace>() is { } trace)
        {
            transform.ProxyRequest.Options.Set(ForwardTrace.Key, trace);
        }

        return default;
    }
}
