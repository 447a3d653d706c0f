using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// The request-target as it is forwarded, and so as it is fingerprinted: the bytes that the client sent, <c>/a%2Fb</c> untouched. Only
/// a path with dot segments is forwarded as routing understood it, because a route must not be matched by one path and served by another.
/// </summary>
internal static class RequestTarget
{
    public static string Of(HttpContext context)
    {
        var raw = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        return IsPlain(raw) ? raw : string.Concat(context.Request.PathBase.Add(context.Request.Path).ToUriComponent(), context.Request.QueryString.ToUriComponent());
    }

    /// <summary>Origin form without dot segments, spelled out or encoded.</summary>
    public static bool IsPlain(string raw)
    {
        if (raw.Length == 0 || raw[0] != '/')
        {
            return false;
        }

        var query = raw.IndexOf('?', StringComparison.Ordinal);
        var path = query < 0 ? raw.AsSpan() : raw.AsSpan(0, query);
        if (!path.Contains("/.", StringComparison.Ordinal) && !path.Contains("%2e", StringComparison.OrdinalIgnoreCase))
        {
            return true;
        }

        foreach (var range in path.Split('/'))
        {
            if (path[range].ToString().Replace("%2e", ".", StringComparison.OrdinalIgnoreCase) is "." or "..")
            {
                return false;
            }
        }

        return true;
    }
}
