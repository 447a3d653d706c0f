using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The disk that large request bodies go through is full: they are refused before anything is claimed, small ones do not notice.</summary>
public sealed class FullDiskTests
{
    private static readonly string LargeBody = new('x', 300_000);

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
