using System.Security.Cryptography;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>What selectors find in one request.</summary>
internal sealed class RequestValues(HttpContext context)
{
    /// <summary>The parsed body, once it was read; selectors of bodies find nothing before.</summary>
    public RequestContent? Content { get; set; }

    /// <summary>What is wrong with a value that was asked for, in words for the client; null when all is well.</summary>
    public string? Defect { get; private set; }

    /// <summary>The values, as many as there are; none when the request has none.</summary>
    public StringValues Of(Selector selector) => selector.Kind switch
    {
        SelectorKind.Header => context.Request.Headers[selector.Name],
        SelectorKind.Query => context.Request.Query[selector.Name],
        SelectorKind.Route => context.Request.RouteValues.GetValueOrDefault(selector.Name)?.ToString(),
        SelectorKind.Claim => context.User.FindAll(selector.Name).Select(claim => claim.Value).ToArray(),
        SelectorKind.ClientIp => context.Connection.RemoteIpAddress is { } address ? (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString() : null,
        SelectorKind.Cookie => OfCookie(selector.Name),
        SelectorKind.ClientCertificate => context.Connection.ClientCertificate?.GetCertHashString(HashAlgorithmName.SHA256),
        SelectorKind.Form => Content?.FormValues(selector.Name) ?? default,
        _ => OfBody(selector),
    };

    /// <summary>As <see cref="Of"/>, for a claim that every token must have: callers without it are not one caller.</summary>
    public StringValues OfRequiredClaim(Selector selector)
    {
        var values = Of(selector);
        Defect = values.Count == 0 ? $"The token has no {selector}, which says who the key belongs to." : Defect;
        return values;
    }

    /// <summary>
    /// Every cookie of that name, in order, as it was sent: which one of several the backend takes is not known, so that they are one credential
    /// together. Names of cookies distinguish case (RFC 6265, section 4.1).
    /// </summary>
    private StringValues OfCookie(string name)
    {
        StringValues found = default;
        foreach (var line in context.Request.Headers.Cookie)
        {
            foreach (var pair in line.AsSpan().Split(';'))
            {
                var cookie = line.AsSpan()[pair].Trim();
                var equals = cookie.IndexOf('=');
                if (equals >= 0 && cookie[..equals].TrimEnd().SequenceEqual(name))
                {
                    found = StringValues.Concat(found, cookie[(equals + 1)..].TrimStart().ToString());
                }
            }
        }

        return found;
    }

    private StringValues OfBody(Selector selector)
    {
        if (Content?.TryFind(selector.Pointer, out var value, out var isText) is not true)
        {
            return default;
        }

        if (!isText)
        {
            Defect = $"The value of {selector} is an object or a list; expected text, a number or a boolean.";
        }

        return value;
    }
}
