using System.Collections.Concurrent;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Model;

namespace Idempotency.Yarp;

/// <summary>
/// Notices callers who say who they are in a way that their policy's scope does not look at: they share their keys with everybody who does so, which
/// nobody sees until one gets another's answer. Said once for each route.
/// </summary>
internal sealed class ScopeWatch(RequestJournal journal)
{
    /// <summary>By which callers say who they are, beside cookies and certificates.</summary>
    private static readonly string[] Fields = ["Authorization", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token", "X-Session-Token"];

    private readonly ConcurrentDictionary<string, bool> _told = new();

    public void Look(HttpContext context, IdempotencyPolicy policy)
    {
        // Who writes global knows that credentials do not count.
        if (policy.Scope.Count == 0 || context.Features.Get<IReverseProxyFeature>()?.Route.Config.RouteId is not { } route || _told.ContainsKey(route))
        {
            return;
        }

        if (Overlooked(context, policy.Scope) is { } what && _told.TryAdd(route, true))
        {
            journal.ScopeOverlooks(route, policy, what);
        }
    }

    /// <returns>The name of what the scope does not look at; null when it looks at everything that is there.</returns>
    internal static string? Overlooked(HttpContext context, IReadOnlyList<Selector> scope)
    {
        var headers = context.Request.Headers;
        foreach (var field in Fields)
        {
            if (headers.ContainsKey(field) && !scope.Any(selector => LooksAt(selector, field)))
            {
                return field;
            }
        }

        if (headers.Cookie.Count > 0 && !scope.Any(selector => selector.Kind == SelectorKind.Cookie || selector.IsField("Cookie")))
        {
            return "Cookie";
        }

        var isCertified = context.Connection.ClientCertificate is not null;
        return isCertified && !scope.Any(selector => selector.Kind is SelectorKind.ClientCertificate or SelectorKind.Credentials) ? "the client's certificate" : null;
    }

    /// <summary>A token that was validated is looked at by its claims.</summary>
    private static bool LooksAt(Selector selector, string field) => selector.Kind switch
    {
        SelectorKind.Header => selector.IsField(field),
        SelectorKind.Credentials => Selector.CredentialFields.Any(credential => credential.IsField(field)),
        SelectorKind.Claim => field == Fields[0],
        _ => false,
    };
}
