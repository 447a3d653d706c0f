using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What may be shown of a text that may hold a credential in the wrong place.</summary>
public sealed class SafeTextTests
{
    [Theory]
    [InlineData("http://10.0.0.1:8080/orders", "http://10.0.0.1:8080/orders")]
    [InlineData("http://me:secret@10.0.0.1:8080/orders", "http://10.0.0.1:8080")]
    [InlineData("http://me:a@b@10.0.0.1/", "***")]
    [InlineData("https://[::1]:8443/?key=secret", "https://[::1]:8443")]
    [InlineData("me:secret@host", "***")]
    [InlineData("host:80;password=secret", "***")]
    [InlineData("nonsense", "nonsense")]
    public void AnAddress_IsShownWithoutUserAndQuery(string address, string shown) => Assert.Equal(shown, SafeText.OfAddress(address));

    [Theory]
    [InlineData("Oracle")]
    [InlineData("00:00:30")]
    [InlineData("header:X-Request-Id")]
    [InlineData("/payments?ref={key}")]
    [InlineData("body:/order/token")]
    public void WhatUsersMistype_IsRepeated(string value) => Assert.True(SafeText.IsHarmless(value));

    [Theory]
    [InlineData("127.0.0.1:6379,password=secret")]
    [InlineData("Host=h;Database=d")]
    [InlineData("user:secret@host")]
    [InlineData("Bearer abcdefgh")]
    [InlineData("password: secret")]
    [InlineData("api_key=secret")]
    public void WhatMayHoldACredential_IsNot(string value) => Assert.False(SafeText.IsHarmless(value));

    [Theory]
    [InlineData("Invalid url: 'http://me:a@b@host/'", "Invalid url: 'http://***@host/'")]
    [InlineData("Couldn't set password=secret;x", "Couldn't set password=***;x")]
    [InlineData("got Authorization: Basic YWJjZA== there", "got Authorization: *** *** there")]
    [InlineData("Failed to bind to address http://127.0.0.1:80: address already in use.", "Failed to bind to address http://127.0.0.1:80: address already in use.")]
    public void AMessage_LosesOnlyItsCredentials(string message, string shown) => Assert.Equal(shown, SafeText.OfMessage(message));

    [Theory]
    [InlineData("10.0.0.1", true)]
    [InlineData("db.example:5432", true)]
    [InlineData("[2001:db8::1]:5432", true)]
    [InlineData("/var/run/postgresql", true)]
    [InlineData("me:secret@host", false)]
    [InlineData("host password=secret", false)]
    public void AHost_IsShown_WhenItIsOne(string host, bool isShown) => Assert.Equal(isShown ? host : "***", SafeText.OfHost(host));
}
