using System.Globalization;
using System.Net;
using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// The published specification that draft-ietf-httpapi-idempotency-key-header-07, section 2.5.2, asks for: the routes' policies and
/// every problem type. HTML for people, JSON when the Accept header prefers it.
/// </summary>
internal static class WellKnownPage
{
    public const string Path = "/.well-known/idempotency";

    private static readonly string Template = EmbeddedResource.Read(typeof(WellKnownPage), "well-known.html");

    public static IResult Get(HttpRequest request, IEnumerable<RouteConfig> routes, PolicyBook policies)
    {
        request.HttpContext.Response.Headers.Vary = "Accept";
        var guarded = Guarded(routes, policies).ToList();
        return PrefersJson(request) ? TypedResults.Json(ToJson(guarded)) : TypedResults.Content(ToHtml(guarded), "text/html; charset=utf-8");
    }

    private static bool PrefersJson(HttpRequest request)
    {
        foreach (var accepted in request.GetTypedHeaders().Accept.OrderByDescending(type => type.Quality ?? 1))
        {
            if (accepted.MatchesMediaType("text/html"))
            {
                return false;
            }

            if (accepted.MatchesMediaType("application/json") || accepted.MatchesMediaType("application/problem+json"))
            {
                return true;
            }
        }

        return false;
    }

    private static object ToJson(List<GuardedRoute> routes) => new
    {
        routes = routes.Select(guarded => new
        {
            route = guarded.Route,
            path = guarded.Path,
            policy = guarded.Policy.Name,
            mode = guarded.Policy.Mode.ToString(),
            methods = guarded.Policy.Methods,
            key = guarded.Policy.Key.Select(selector => selector.ToString()),
            keyFormat = KeyFormatOf(guarded.Policy),
            scope = ScopeOf(guarded.Policy),
            fingerprint = FingerprintOf(guarded.Policy),
            retention = guarded.Policy.Retention.ToString("c", CultureInfo.InvariantCulture),
            lease = guarded.Policy.Lease.ToString("c", CultureInfo.InvariantCulture),
            releasedStatuses = guarded.Policy.ReleaseStatuses,
            uncertainStatuses = guarded.Policy.UncertainStatuses,
            maxRequestBodyBytes = guarded.Policy.MaxRequestBodyBytes,
            maxAnswerBytes = guarded.Policy.MaxAnswerBytes,
        }),
        problems = Problem.All.Select(problem => new { type = problem.Type, status = problem.Status, title = problem.Title, advice = problem.Advice }),
    };

    private static string ToHtml(List<GuardedRoute> routes)
    {
        var rows = new StringBuilder();
        foreach (var (route, path, policy) in routes)
        {
            rows.Append(CultureInfo.InvariantCulture, $"""
                <tr><td><code>{E(path)}</code><br><small>{E(route)}</small></td><td>{E(string.Join(", ", policy.Methods))}</td>
                <td title="{E(KeyFormatOf(policy))}"><code>{E(string.Join(", ", policy.Key))}</code><br>{E(policy.Mode.ToString().ToLowerInvariant())}</td>
                <td>{E(string.Join(" + ", ScopeOf(policy)))}</td><td>{E(string.Join(", ", FingerprintOf(policy)))}</td>
                <td>{policy.Retention:c}</td><td>{E(string.Join(", ", policy.ReleaseStatuses))}</td><td>{E(string.Join(", ", policy.UncertainStatuses))}</td></tr>

                """);
        }

        var problems = new StringBuilder();
        foreach (var problem in Problem.All)
        {
            problems.Append(CultureInfo.InvariantCulture, $"""
                <dt id="{problem.Slug}"><code>{problem.Slug}</code> &middot; {problem.Status} &middot; {E(problem.Title)}</dt><dd>{E(problem.Advice)}</dd>

                """);
        }

        return Template.Replace("{{routes}}", rows.ToString(), StringComparison.Ordinal).Replace("{{problems}}", problems.ToString(), StringComparison.Ordinal);
    }

    private static IEnumerable<GuardedRoute> Guarded(IEnumerable<RouteConfig> routes, PolicyBook policies) =>
        from route in routes
        let policy = policies.PolicyOf(route)
        where policy is not null
        select new GuardedRoute(route.RouteId, $"{string.Join(", ", route.Match.Hosts ?? [])}{route.Match.Path ?? "/**"}", policy);

    private static IEnumerable<string> ScopeOf(IdempotencyPolicy policy) => policy.Scope.Count == 0 ? ["global"] : policy.Scope.Select(selector => selector.ToString());

    private static IEnumerable<string> FingerprintOf(IdempotencyPolicy policy) =>
        [
            "method", "target", .. policy.FingerprintHost ? (string[])["host"] : [], .. policy.FingerprintHeaders, .. RequestFingerprint.AlwaysHashed,
            .. policy.FingerprintBody != FingerprintBody.None ? (string[])["body"] : [],
        ];

    /// <summary>In words for whoever makes keys.</summary>
    private static string KeyFormatOf(IdempotencyPolicy policy) => string.Join(' ', (string[])
    [
        policy.IsDefaultKey ? Problem.KeyInvalid.Advice : $"Any text of {policy.KeyMinLength} to {RequestKey.MaxValueLength} characters.",
        .. policy is { IsDefaultKey: true, KeyMinLength: > 1 } ? (string[])[$"At least {policy.KeyMinLength} characters."] : [],
        .. policy.KeyPattern is { } pattern ? (string[])[$"The whole key looks like {pattern.Text}"] : [],
    ]);

    private sealed record GuardedRoute(string Route, string Path, IdempotencyPolicy Policy);

    private static string E(string text) => WebUtility.HtmlEncode(text);
}
