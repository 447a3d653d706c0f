using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Idempotency.Yarp.Forwarding;

/// <summary>What a proxy must do in every route's forwarding and YARP does not, and what takes note of it.</summary>
internal static class ForwardingTransforms
{
    /// <summary>Of answers whose first byte may be long in coming.</summary>
    private static readonly string[] Streams = ["text/event-stream", "application/grpc", "application/x-ndjson", "application/jsonl", "application/json-seq", "multipart/x-mixed-replace"];

    /// <param name="builder">Of one route.</param>
    /// <param name="policies">All of them.</param>
    /// <exception cref="InvalidOperationException">The route asks for a policy that is not there.</exception>
    public static void Add(TransformBuilderContext builder, PolicyBook policies)
    {
        if (policies.PolicyOf(builder.Route) is not null)
        {
            builder.AddRequestTransform(transform =>
            {
                PolicyApplied.Require(transform.HttpContext);
                return default;
            });
        }

        builder.AddRequestTransform(RemoveNominatedFields);
        builder.AddResponseTransform(SendHeadOfStream); // the last one: what comes after it could change no field any more
    }

    /// <summary>Whether queries go out other than they came in.</summary>
    public static bool ChangesQuery(RouteConfig route) => Changes(route, "Query");

    /// <summary>A route that rewrites paths or queries keeps YARP's target, because its transforms work on the decoded path.</summary>
    internal static bool Changes(RouteConfig route, string what) =>
        route.Transforms?.Any(transform => transform.Keys.Any(key => key.StartsWith(what, StringComparison.OrdinalIgnoreCase))) is true;

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
}
