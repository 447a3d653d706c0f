using System.Buffers;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>
/// Refuses what the server lets pass and a guarded backend should not see: requests that the gateway and the backend could understand
/// differently, so that what was fingerprinted is not what is executed.
/// </summary>
internal static class RequestChecks
{
    /// <summary>C0 controls except TAB, and DEL (RFC 9110, section 5.5).</summary>
    private static readonly SearchValues<char> Controls =
        SearchValues.Create([.. Enumerable.Range(0, 32).Where(c => c != '\t').Append(127).Select(c => (char)c)]);

    /// <summary>Fields that must not be declared hop-by-hop: without them the request is another one (RFC 9110, section 7.6.1).</summary>
    private static readonly string[] EndToEnd = ["Authorization", "Cookie", "Host"];

    private static readonly string[] MethodOverrides = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];

    private static readonly HashSet<string> OwnFields = new(StringComparer.OrdinalIgnoreCase)
    {
        GatewayHeaders.Attempt, GatewayHeaders.Replayed, GatewayHeaders.Status, "Idempotency-Key", "Prefer", "Forwarded", "Host", "Cookie", "Connection",
        "Content-Length", "Content-Type", "Transfer-Encoding", "Expect", "Upgrade",
    };

    /// <summary>Refuses, on every route, methods that make no sense through a proxy of this kind, and ambiguous framing.</summary>
    public static (int Status, string Reason)? Check(HttpRequest request)
    {
        var isTunnel = HttpMethods.IsConnect(request.Method) && request.HttpContext.Features.Get<IHttpExtendedConnectFeature>() is not { IsExtendedConnect: true };
        if (isTunnel || HttpMethods.IsTrace(request.Method))
        {
            return (StatusCodes.Status405MethodNotAllowed, $"{request.Method} is not forwarded.");
        }

        if (request.Headers.TransferEncoding is { Count: > 0 } codings)
        {
            if (!HttpProtocol.IsHttp11(request.Protocol))
            {
                return (StatusCodes.Status400BadRequest, $"Transfer-Encoding is not part of {request.Protocol}.");
            }

            // What is not understood cannot be removed, and the backend would get it as content (RFC 9112, section 6.1).
            var names = codings.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries)).ToList();
            if (names is not [var only] || !only.Equals("chunked", StringComparison.OrdinalIgnoreCase))
            {
                return names.Count(name => name.Equals("chunked", StringComparison.OrdinalIgnoreCase)) == 1 && names[^1].Equals("chunked", StringComparison.OrdinalIgnoreCase)
                    ? (StatusCodes.Status501NotImplemented, "The only transfer coding that is understood is chunked.")
                    : (StatusCodes.Status400BadRequest, "Transfer-Encoding must end with chunked, once.");
            }
        }

        // Kestrel moves the Content-Length aside when there is a Transfer-Encoding; RFC 9112, section 6.1, lets us refuse, which is safer.
        if (request.Headers.TransferEncoding.Count > 0 && request.Headers.ContainsKey("X-Content-Length"))
        {
            return (StatusCodes.Status400BadRequest, "The request has both Content-Length and Transfer-Encoding.");
        }

        return request.Headers.Expect is { Count: > 0 } expect && !expect.ToString().Equals("100-continue", StringComparison.OrdinalIgnoreCase)
            ? (StatusCodes.Status417ExpectationFailed, "The only expectation that can be met is 100-continue.")
            : null;
    }

    /// <summary>Returns what is wrong with a covered request, or null.</summary>
    public static string? FindDefect(HttpRequest request, IdempotencyPolicy policy)
    {
        foreach (var (name, values) in request.Headers)
        {
            // CGI, WSGI and PHP read Idempotency_Key as Idempotency-Key.
            if (name.Contains('_', StringComparison.Ordinal) && !Counts(policy, name) && Counts(policy, name.Replace('_', '-')))
            {
                return $"The field {name.Replace('_', '-')} is written with an underscore, which some backends take for the same field.";
            }

            foreach (var value in values)
            {
                if (value.AsSpan().ContainsAny(Controls))
                {
                    return $"The field {name} has a control character.";
                }
            }
        }

        return request.Headers.Connection.Count == 0 ? null : FindNominated(request.Headers.Connection, policy);
    }

    /// <summary>
    /// A backend that lets a field name another method would do what no policy has looked at. What it is that a policy covers is decided by the
    /// method alone.
    /// </summary>
    public static string? FindOverride(HttpRequest request)
    {
        foreach (var name in request.Headers.Keys)
        {
            if (MethodOverrides.Contains(name.Replace('_', '-'), StringComparer.OrdinalIgnoreCase))
            {
                return $"{name} names another method, on a route that protects some methods. Send the request with that method.";
            }
        }

        return null;
    }

    /// <summary>Whether the gateway reads, sets, removes or compares a field of this name.</summary>
    private static bool Counts(IdempotencyPolicy policy, string name) =>
        OwnFields.Contains(name)
        || name.StartsWith("X-Forwarded-", StringComparison.OrdinalIgnoreCase)
        || RequestFingerprint.AlwaysHashed.Contains(name, StringComparer.OrdinalIgnoreCase)
        || policy.FingerprintHeaders.Contains(name, StringComparer.OrdinalIgnoreCase)
        || Selector.CredentialFields.Any(credential => credential.IsField(name))
        || policy.AllSelectors.Any(selector => selector.IsField(name));

    private static string? FindNominated(StringValues connection, IdempotencyPolicy policy)
    {
        foreach (var name in connection.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries)))
        {
            if (EndToEnd.Contains(name, StringComparer.OrdinalIgnoreCase)
                || name.StartsWith("Content-", StringComparison.OrdinalIgnoreCase)
                || policy.FingerprintHeaders.Contains(name, StringComparer.OrdinalIgnoreCase)
                || policy.AllSelectors.Any(selector => selector.IsField(name)))
            {
                return $"Connection names {name}, which is an end-to-end field.";
            }
        }

        return null;
    }
}
