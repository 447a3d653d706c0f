using Xunit;

namespace Gateway.Tests.Chaos;

public sealed class ForbiddenBytesTests
{
    [Fact]
    public void KeysAndCredentials_AreFound_WhereverTheyStand()
    {
        var forbidden = new ForbiddenBytes([new Operation("order-1", "Bearer alice"), new Operation("order-2", "Bearer alice")]);

        Assert.Equal(["\"order-1\"", "\"Bearer alice\""], forbidden.In("\0\0order-1\u0001 as Bearer alice"));
        Assert.Empty(forbidden.In("idem:{b0001}:0011223344"));
    }
}
