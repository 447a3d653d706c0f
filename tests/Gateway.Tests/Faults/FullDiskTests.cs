using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The disk that large request bodies go through is full: they are refused before anything is claimed, small ones do not notice.</summary>
public sealed class FullDiskTests
{
    private static readonly string LargeBody = new('x', 300_000);

    /// <summary>The last bytes of the temporary file are still to be written when it is given up.</summary>
    [TmpfsFact]
    public async Task ABodyThatFillsTheDisk_GivesItsMemoryBack()
    {
        await using var disk = await Tmpfs.MountAsync();
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded,
                new { large = new { MaxRequestBodyBytes = 10_000_000, Response = new { MaxBodyBytes = 1000 } } },
                new GatewayRoute("/{**rest}", backend.Url, "large")),
            new Dictionary<string, string> { ["TMPDIR"] = disk.Path, ["Limits__BufferedBytes"] = "1048576" });
        using var client = KeyedRequests.NewClient();

        // More than the budget has room for, if any of them kept its own.
        for (var number = 0; number < 20; number++)
        {
            await using var raw = await RawClient.ConnectAsync(gateway.Url);
            await raw.SendAsync($"POST /orders HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\nContent-Length: 2000000\r\n\r\n");
            for (var sent = 0; sent < 2_000_000; sent += 5000)
            {
                await raw.SendAsync(new byte[5000]);
            }

            Assert.Equal(503, (await raw.ReadResponseAsync())!.Status);
        }

        Assert.Empty(backend.Ledger);
        Assert.Equal(201, (await KeyedRequests.PostAsync(client, gateway.Url + "/orders", EmbeddedGateway.NewKey(), new string('x', 10_000))).Status);
    }

    [TmpfsFact]
    public async Task ALargeBody_IsRefusedWhileTheDiskIsFull_AndTakenWhenItIsNot()
    {
        await using var disk = await Tmpfs.MountAsync();
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", backend.Url)),
            new Dictionary<string, string> { ["TMPDIR"] = disk.Path });
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        Task<Answer> PostAsync(string withKey, string body) => KeyedRequests.PostAsync(client, gateway.Url + "/orders", withKey, body);

        await disk.FillAsync();
        var refused = await PostAsync(key, LargeBody);
        Assert.Empty(backend.Ledger);
        Expect.Problem(503, "request-not-buffered", refused);
        Assert.Equal("2", refused.Header("Retry-After"));
        Assert.Equal(201, (await PostAsync(EmbeddedGateway.NewKey(), "{}")).Status);

        disk.Empty();
        var retry = await PostAsync(key, LargeBody);
        Assert.Equal(LargeBody.Length, Assert.Single(backend.ArrivalsFor(key)).Body.Length);
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
    }
}
