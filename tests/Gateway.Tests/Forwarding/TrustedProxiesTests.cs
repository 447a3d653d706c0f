using System.Net;
using Gateway.Forwarding;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Forwarding;

/// <summary>Whom proxies are believed to speak for, and what is left of what they said.</summary>
public sealed class TrustedProxiesTests
{
    private static readonly IPNetwork[] Networks = [IPNetwork.Parse("10.0.0.0/8"), IPNetwork.Parse("fd00::/8")];

    /// <param name="peer">Whose connection it is.</param>
    /// <param name="hops">How many trusted proxies there are.</param>
    /// <param name="list">X-Forwarded-For.</param>
    /// <param name="client">Whom the request is from.</param>
    /// <param name="chain">What is handed on.</param>
    [Theory]
    [InlineData("10.0.0.1", 1, "192.0.2.7", "192.0.2.7", "192.0.2.7, 10.0.0.1")]
    [InlineData("::ffff:10.0.0.1", 1, "192.0.2.7", "192.0.2.7", "192.0.2.7, 10.0.0.1")]
    [InlineData("fd00::1", 1, "2001:db8::7", "2001:db8::7", "2001:db8::7, fd00::1")]
    [InlineData("10.0.0.1", 1, "[2001:db8::7]:4711", "2001:db8::7", "2001:db8::7, 10.0.0.1")]
    [InlineData("10.0.0.1", 1, "192.0.2.7:4711", "192.0.2.7", "192.0.2.7, 10.0.0.1")]
    [InlineData("10.0.0.1", 1, "6.6.6.6, 192.0.2.7", "192.0.2.7", "192.0.2.7, 10.0.0.1")] // what the client itself made up is not handed on
    [InlineData("10.0.0.1", 2, "6.6.6.6, 192.0.2.7", "192.0.2.7", "192.0.2.7, 10.0.0.1")] // the one before is no proxy of ours
    [InlineData("10.0.0.1", 2, "6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7", "192.0.2.7, 10.0.0.2, 10.0.0.1")]
    [InlineData("10.0.0.1", 1, "192.0.2.7, 10.0.0.2", "10.0.0.2", "10.0.0.2, 10.0.0.1")]
    [InlineData("10.0.0.1", 9, "10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1")]
    [InlineData("10.0.0.1", 1, "unknown", "10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.1", 1, "7", "10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.1", 1, "192.0.2.7:x", "10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.1", 1, "192.0.2.7,", "10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.1", 1, null, "10.0.0.1", "10.0.0.1")]
    [InlineData("192.0.2.1", 1, "6.6.6.6", "192.0.2.1", null)]
    [InlineData("11.0.0.1", 5, "10.0.0.1", "11.0.0.1", null)]
    public void TheClient_IsWhoTrustedProxiesSayThatItIs(string peer, int hops, string? list, string client, string? chain)
    {
        var context = Look(peer, hops, ("X-Forwarded-For", list));

        Assert.Equal(IPAddress.Parse(client), Known(context.Connection.RemoteIpAddress!));
        Assert.Equal(chain, Text(context, "X-Forwarded-For"));
    }

    [Theory]
    [InlineData("10.0.0.1", "https", "https")]
    [InlineData("10.0.0.1", "HTTPS", "https")]
    [InlineData("10.0.0.1", "http, https", "https")] // the nearest proxy's word
    [InlineData("10.0.0.1", "gopher", "http")]
    [InlineData("10.0.0.1", "https;", "http")]
    [InlineData("10.0.0.1", "", "http")]
    [InlineData("192.0.2.1", "https", "http")]
    public void TheScheme_IsWhatATrustedProxySays(string peer, string proto, string scheme)
    {
        var context = Look(peer, 1, ("X-Forwarded-Proto", proto));

        Assert.Equal(scheme, context.Request.Scheme);
        Assert.Null(Text(context, "X-Forwarded-Proto")); // it is made from the scheme
    }

    [Theory]
    [InlineData("10.0.0.1", "shop.example", "shop.example")]
    [InlineData("10.0.0.1", "shop.example:8443", "shop.example:8443")]
    [InlineData("10.0.0.1", "[2001:db8::1]:8443", "[2001:db8::1]:8443")]
    [InlineData("10.0.0.1", "evil.example/path", null)]
    [InlineData("10.0.0.1", "user@evil.example", null)]
    [InlineData("10.0.0.1", "a b", null)]
    [InlineData("192.0.2.1", "shop.example", null)]
    public void TheHost_IsHandedOn_AndNeverTakenForTheRequestsOwn(string peer, string host, string? handedOn)
    {
        var context = Look(peer, 1, ("X-Forwarded-Host", host));

        Assert.Equal(handedOn, Text(context, "X-Forwarded-Host"));
        Assert.Equal("gateway.example", context.Request.Host.Value);
    }

    [Theory]
    [InlineData("for=192.0.2.7;proto=https;host=shop.example", "192.0.2.7", "https")]
    [InlineData("For=\"[2001:db8::7]:4711\" ; Proto=https", "2001:db8::7", "https")]
    [InlineData("for=6.6.6.6;proto=http, for=192.0.2.7;proto=https", "192.0.2.7", "https")]
    [InlineData("for=\"192.0.2.7\";by=\"a,b;c\";proto=\"https\"", "192.0.2.7", "https")]
    [InlineData("for=_hidden;proto=https", "10.0.0.1", "https")]
    [InlineData("for=192.0.2.7;proto=https,", "10.0.0.1", "http")] // malformed: nothing of it is believed
    [InlineData("for=\"192.0.2.7", "10.0.0.1", "http")]
    [InlineData("for 192.0.2.7", "10.0.0.1", "http")]
    public void Forwarded_IsBelievedAsWell(string field, string client, string scheme)
    {
        var context = Look("10.0.0.1", 1, ("Forwarded", field));

        Assert.Equal((IPAddress.Parse(client), scheme), (context.Connection.RemoteIpAddress, context.Request.Scheme));
    }

    [Fact]
    public void Forwarded_GoesOnWithThePeerBehindIt_AndWithoutWhatIsNotBelieved()
    {
        var trusted = Look("10.0.0.1", 1, ("Forwarded", "for=6.6.6.6, for=192.0.2.7;by=_x;proto=https"));
        var other = Look("192.0.2.1", 1, ("Forwarded", "for=6.6.6.6"));

        Assert.Equal("for=192.0.2.7;by=_x;proto=https, for=10.0.0.1;proto=http;host=\"gateway.example\"", Text(trusted, "Forwarded"));
        Assert.Null(Text(other, "Forwarded"));
    }

    [Fact]
    public void SeveralLines_AreOneList()
    {
        var context = Look("10.0.0.1", 2, ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "10.0.0.2"));

        Assert.Equal("192.0.2.7, 10.0.0.2, 10.0.0.1", Text(context, "X-Forwarded-For"));
    }

    private static DefaultHttpContext Look(string peer, int hops, params (string Name, string? Value)[] fields)
    {
        var context = new DefaultHttpContext();
        context.Connection.RemoteIpAddress = IPAddress.Parse(peer);
        (context.Request.Scheme, context.Request.Host) = ("http", new HostString("gateway.example"));
        foreach (var (name, value) in fields.Where(field => field.Value is not null))
        {
            context.Request.Headers.Append(name, value);
        }

        new TrustedProxies(Networks, hops).Look(context);
        return context;
    }

    private static string? Text(HttpContext context, string name) => context.Request.Headers[name] is { Count: > 0 } values ? values.ToString() : null;

    private static IPAddress Known(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
