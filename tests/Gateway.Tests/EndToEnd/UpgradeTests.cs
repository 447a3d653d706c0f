using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Sqlite;
using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A record of a release before this one, whose fingerprint is of version 1: its retry is no other request.</summary>
public sealed class UpgradeTests
{
    private const string Secret = "0123456789abcdef0123456789abcdef";
    private const string Body = """{"a":1}""";
    private const string Multipart = "multipart/form-data; boundary=B";

    private readonly string _key = Guid.NewGuid().ToString();

    [Theory]
    [InlineData("application/json", "default")]
    [InlineData("application/json", "json")]
    [InlineData(Multipart, "default")]
    public async Task ARecordOfVersion1_Replays(string contentType, string policy)
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await StartAsync(backend);
        using var client = KeyedRequests.NewClient();
        var body = contentType == Multipart ? PolicyGateway.Multipart("B", ("id", "7")).Body : Body;
        await RecordAsync(gateway, policy, contentType, body);

        var retry = await PostAsync(body);
        var other = await PostAsync(body + " ");
        var fresh = await KeyedRequests.PostAsync(client, $"{gateway.Url}/{policy}", $"{_key}-2", body);

        Assert.Equal([$"{_key}-2"], backend.Ledger.Select(arrival => arrival.Key));
        Assert.Equal((202, true, "recorded"), (retry.Status, retry.IsReplay, retry.Text));
        Expect.Problem(422, "key-reused", other);
        Assert.Equal(201, fresh.Status);

        Task<Answer> PostAsync(string text) => KeyedRequests.PostAsync(
            client, $"{gateway.Url}/{policy}", _key, text, [KeyValuePair.Create("Content-Type", contentType), KeyValuePair.Create("Host", "api.example")]);
    }

    [Fact]
    public async Task ARecordOfANewerRelease_IsNoOtherRequest_ButCannotBeCompared()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await StartAsync(backend);
        using var client = KeyedRequests.NewClient();
        await RecordAsync(gateway, "default", "application/json", Body, version: 9);

        var retry = await KeyedRequests.PostAsync(client, $"{gateway.Url}/default", _key, Body, [KeyValuePair.Create("Host", "api.example")]);

        Assert.Empty(backend.Ledger);
        Expect.Problem(503, "store-unavailable", retry);
    }

    private static Task<GatewayProcess> StartAsync(ScriptedBackend backend) => GatewayProcess.StartAsync(
        GatewayConfig.Write(
            GatewayConfig.Embedded,
            new { json = new { Fingerprint = new { Body = "Json" } } },
            new GatewayRoute("/default", backend.Url),
            new GatewayRoute("/json", backend.Url, "json")),
        new Dictionary<string, string> { ["Idempotency__Secret"] = Secret });

    /// <summary>As the older release did, in the gateway's own file.</summary>
    private async Task RecordAsync(GatewayProcess gateway, string name, string contentType, string body, byte version = 1)
    {
        var context = new DefaultHttpContext();
        context.Request.Method = "POST";
        context.Request.Host = new HostString("api.example");
        context.Request.ContentType = contentType;
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = $"/{name}";
        var policy = new IdempotencyPolicy { Name = name };
        var id = RecordIds.Create(System.Text.Encoding.UTF8.GetBytes(Secret), new RequestValues(context), policy, _key);
        var fingerprint = new Fingerprint(version, Version1Of(contentType, $"/{name}", body));
        var settings = new StoreSettings { Embedded = new() { Path = Path.Combine(gateway.WorkingDirectory, "data", "idempotency.db") } };
        await using var store = new EmbeddedStore(settings, TimeProvider.System, NullLogger<EmbeddedStore>.Instance);
        var claim = new ClaimRequest(id, ClaimToken.Create(), fingerprint, policy.Lease, policy.Retention);

        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);
        await store.SettleAsync(claim, RecordFormat.Write(id, new StoredResponse(202, [], "recorded"u8.ToArray())), default);
    }

    /// <summary>Written down here as the older release had it: method, host, target, then the fields by name and count, then the body's SHA-256.</summary>
    private static Digest Version1Of(string contentType, string target, string body)
    {
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add("POST");
        hash.Add("api.example");
        hash.Add(target);
        hash.Add("CONTENT-TYPE");
        hash.Add(1);
        hash.Add(contentType);
        hash.Add(Digest.From(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(body))));
        return hash.Sha256();
    }
}
