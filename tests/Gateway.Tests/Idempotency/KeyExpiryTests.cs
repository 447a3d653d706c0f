using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class KeyExpiryTests
{
    private const string Ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    private const string UuidV7 = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    private static readonly DateTimeOffset UlidTime = DateTimeOffset.FromUnixTimeMilliseconds(1469922850259);
    private static readonly DateTimeOffset UuidTime = new(2022, 2, 22, 19, 22, 22, TimeSpan.Zero); // RFC 9562, appendix A.6

    [Theory]
    [InlineData(UuidV7)]
    [InlineData("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")]
    public void AUuidOfVersion7_TellsItsTime(string key) => Assert.Equal(UuidTime, TimeOf(key, KeyTime.UuidV7));

    [Theory]
    [InlineData(Ulid)]
    [InlineData("01arz3ndektsv4rrffq69g5fav")]
    public void AUlid_TellsItsTime(string key) => Assert.Equal(UlidTime, TimeOf(key, KeyTime.Ulid));

    [Theory]
    [InlineData("919108f7-52d1-4320-9bac-f847db4148a8")] // version 4
    [InlineData("{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}")]
    [InlineData("017f22e279b07cc398c4dc0c0c07398f")]
    [InlineData("017f22e2-79b0-7cc3-98c4-dc0c0c07398")]
    [InlineData("order-7")]
    [InlineData("")]
    public void WhatIsNoUuidOfVersion7_TellsNone(string key) => Assert.Null(TimeOf(key, KeyTime.UuidV7));

    [Theory]
    [InlineData("01ARZ3NDEKTSV4RRFFQ69G5FA")]
    [InlineData("01ARZ3NDEKTSV4RRFFQ69G5FAVX")]
    [InlineData("01ARZ3NDEKTSV4RRFFQ69G5FAU")] // no U in this alphabet
    [InlineData("81ARZ3NDEKTSV4RRFFQ69G5FAV")] // beyond 48 bits
    [InlineData(UuidV7)]
    public void WhatIsNoUlid_TellsNone(string key) => Assert.Null(TimeOf(key, KeyTime.Ulid));

    [Theory]
    [InlineData("Tue, 22 Feb 2022 19:22:22 GMT", true)]
    [InlineData("2022-02-22T19:22:22Z", false)]
    [InlineData("Mon, 22 Feb 2022 19:22:22 GMT", false)] // it was a Tuesday
    [InlineData("", false)]
    public void TheField_TellsItsTime_AsAnHttpDate(string text, bool isDate) =>
        Assert.Equal(isDate ? UuidTime : null, TimeOf("order-7", [KeyTime.FirstSent], text));

    [Fact]
    public void TheFirstSourceThatKnows_Counts()
    {
        KeyTime[] all = [KeyTime.UuidV7, KeyTime.Ulid, KeyTime.FirstSent];
        const string Sent = "Fri, 22 Feb 2019 19:22:22 GMT";

        Assert.Equal(UuidTime, TimeOf(UuidV7, all, Sent));
        Assert.Equal(UlidTime, TimeOf(Ulid, all, Sent));
        Assert.Equal(UuidTime.AddYears(-3), TimeOf("order-7", all, Sent)!.Value, TimeSpan.FromDays(1));
        Assert.Null(TimeOf(UuidV7, []));
    }

    [Fact]
    public void AKey_IsExpired_WhenItIsOlderThanTheRetention()
    {
        var policy = new IdempotencyPolicy { Name = "p", KeyTime = [KeyTime.UuidV7], Retention = TimeSpan.FromHours(1) };
        var fields = new HeaderDictionary();

        Assert.False(KeyExpiry.IsExpired(policy, UuidV7, fields, UuidTime.AddHours(1)));
        Assert.True(KeyExpiry.IsExpired(policy, UuidV7, fields, UuidTime.AddHours(1).AddMilliseconds(1)));
        Assert.False(KeyExpiry.IsExpired(policy, UuidV7, fields, UuidTime.AddHours(-1))); // a clock that is ahead
        Assert.False(KeyExpiry.IsExpired(policy, "order-7", fields, UuidTime.AddYears(1)));
        Assert.False(KeyExpiry.IsExpired(policy with { KeyTime = [] }, UuidV7, fields, UuidTime.AddYears(1)));
    }

    private static DateTimeOffset? TimeOf(string key, KeyTime source) => TimeOf(key, [source]);

    private static DateTimeOffset? TimeOf(string key, KeyTime[] sources, string? sent = null) =>
        KeyExpiry.TimeOf(sources, key, new HeaderDictionary { ["Repeatability-First-Sent"] = sent });
}
