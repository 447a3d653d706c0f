using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class ReleasingRedirectTests
{
    private static readonly IdempotencyPolicy Policy = new() { Name = "p", ReleaseRedirectsTo = ["/login", "/auth/*"] };

    [Theory]
    [InlineData(302, "/login", true)]
    [InlineData(301, "/login", true)]
    [InlineData(303, "/login?next=/orders", true)]
    [InlineData(307, "/login#top", true)]
    [InlineData(308, "https://sso.example/login", true)]
    [InlineData(302, "//sso.example/auth/realms/x", true)]
    [InlineData(302, "../login", true)] // from /orders/1
    [InlineData(302, "/x/../login", true)]
    [InlineData(302, "/auth/", true)]
    [InlineData(302, "/auth", false)]
    [InlineData(302, "/authors/1", false)]
    [InlineData(302, "/login/help", false)]
    [InlineData(302, "/Login", false)]
    [InlineData(302, "login", false)] // /orders/login
    [InlineData(302, "/orders/1?to=/login", false)]
    [InlineData(302, "mailto:login", false)]
    [InlineData(302, "", false)]
    [InlineData(302, null, false)]
    [InlineData(201, "/login", false)]
    [InlineData(300, "/login", false)]
    [InlineData(304, "/login", false)]
    public void ARedirect_ReleasesOnlyWhereThePolicySaysSo(int status, string? location, bool releases)
    {
        var context = new DefaultHttpContext();
        context.Request.Path = "/orders/1";
        context.Response.StatusCode = status;
        context.Response.Headers.Location = location;

        Assert.Equal(releases, ReleasingRedirect.Is(context.Response, Policy));
        Assert.False(ReleasingRedirect.Is(context.Response, new IdempotencyPolicy { Name = "default" }));
    }
}
