using System.Collections.Concurrent;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>
/// Lets scripts of web pages read what the gateway itself answers. Who may read is the backend's to say (the CORS protocol, WHATWG Fetch, section
/// 3.3): its word to an origin, on a preflight or on any answer, is remembered for the route, and goes for the gateway's refusals and replays to the
/// same origin. The gateway's own fields are exposed beside the backend's.
/// </summary>
internal sealed class CrossOrigin
{
    private const string AllowOrigin = "Access-Control-Allow-Origin";
    private const string AllowCredentials = "Access-Control-Allow-Credentials";
    private const string ExposeHeaders = "Access-Control-Expose-Headers";

    /// <summary>Routes and origins; what does not fit any more is learned again.</summary>
    private const int MaxRemembered = 10_000;

    /// <summary>Fields that scripts do not see unless they are exposed.</summary>
    private static readonly string Exposed = string.Join(", ", GatewayHeaders.Replayed, GatewayHeaders.Status, "Link", "Retry-After");

    private readonly ConcurrentDictionary<(string Route, string Origin), (string Origin, bool Credentials)> _allowed = new();

    /// <summary>Looks at the answer when it begins.</summary>
    public void Follow(HttpContext context)
    {
        if (context.Request.Headers.Origin is { Count: 1 } origin)
        {
            context.Response.OnStarting(() =>
            {
                Complete(context, origin!);
                return Task.CompletedTask;
            });
        }
    }

    private void Complete(HttpContext context, string origin)
    {
        var headers = context.Response.Headers;
        var key = (RouteName.Of(context), origin);
        if (context.Features.Get<OwnAnswer>() is null)
        {
            if (headers[AllowOrigin] is not [{ } allowed])
            {
                _allowed.TryRemove(key, out _); // not any more
                return;
            }

            Remember(key, (allowed, headers[AllowCredentials] == "true"));
        }
        else if (_allowed.TryGetValue(key, out var word))
        {
            headers[AllowOrigin] = word.Origin;
            headers[AllowCredentials] = word.Credentials ? "true" : StringValues.Empty;
            if (word.Origin != "*")
            {
                AddTo(headers, "Vary", "Origin");
            }
        }
        else if (headers[AllowOrigin] is not [{ } recorded] || (recorded != "*" && recorded != origin))
        {
            // Recorded for another origin, or not at all.
            headers.Remove(AllowOrigin);
            headers.Remove(AllowCredentials);
            return;
        }

        if (headers[AllowOrigin].Count > 0 && !HttpMethods.IsOptions(context.Request.Method))
        {
            AddTo(headers, ExposeHeaders, Exposed);
        }
    }

    private void Remember((string Route, string Origin) key, (string Origin, bool Credentials) word)
    {
        if (_allowed.Count >= MaxRemembered && !_allowed.ContainsKey(key))
        {
            _allowed.Clear();
        }

        _allowed[key] = word;
    }

    /// <summary>Unless it is there already.</summary>
    private static void AddTo(IHeaderDictionary headers, string name, string value)
    {
        var present = headers[name].ToString();
        var names = present.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var missing = value.Split(", ").Except(names, StringComparer.OrdinalIgnoreCase).ToList();
        if (missing.Count > 0 && !(name == "Vary" && names.Contains("*")))
        {
            headers[name] = string.Join(", ", [.. names, .. missing]);
        }
    }
}

/// <summary>The answer is the gateway's: a problem, or a replay.</summary>
internal sealed class OwnAnswer
{
    public static readonly OwnAnswer Instance = new();
}
