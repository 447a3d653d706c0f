using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Sealed answers in a store that somebody else can write to (<c>Idempotency:Encryption</c>).</summary>
public abstract class SealTests(PolicyGateways gateways)
{
    private const string NoCopies = "Idempotency__NearCopy__MaxEntries";
    private static readonly string Old = Convert.ToBase64String(Enumerable.Repeat((byte)1, 32).ToArray());
    private static readonly string New = Convert.ToBase64String(Enumerable.Repeat((byte)2, 32).ToArray());

    [StoreFact]
    public async Task AnAnswerThatWasEditedOrMoved_IsRefused_LoggedAndNotRunAgain()
    {
        await using var gateway = await StartAsync("old", ("old", Old));
        var victim = await RecordAsync(gateway);
        var other = await RecordAsync(gateway);
        Assert.DoesNotContain(victim.Text, await gateways.ReadAllAsync(), StringComparison.Ordinal);
        var (record, bytes) = (victim.Record, victim.Sealed);

        foreach (var position in (int[])[0, 1, 2, bytes.Length / 2, bytes.Length - 1])
        {
            byte[] edited = [.. bytes];
            edited[position] ^= 1;
            await gateways.WriteAnswerAsync(record, edited);
            Expect.Problem(503, "store-unavailable", await gateways.PostAsync(gateway, victim.Path, victim.Key));
        }

        await gateways.WriteAnswerAsync(record, other.Sealed);
        Expect.Problem(503, "store-unavailable", await gateways.PostAsync(gateway, victim.Path, victim.Key));
        await gateways.WriteAnswerAsync(record, bytes);
        var replay = await gateways.PostAsync(gateway, victim.Path, victim.Key);

        Assert.Single(gateways.ArrivalsAt(victim.Path));
        Assert.Equal((200, victim.Text, true), (replay.Status, replay.Text, replay.IsReplay));
        await Eventually.TrueAsync(() => Count("[1006]") == 6, "each is logged");
        Assert.Equal(3, Count("(Forged)")); // the edits behind the key's id, and the other record's answer

        int Count(string text) => gateway.Output.Count(line => line.Contains(text, StringComparison.Ordinal));
    }

    [StoreFact]
    public async Task WithoutASeal_TheAnswerStandsInTheStore()
    {
        var plain = await RecordAsync(gateways.First);

        Assert.Contains(plain.Text, await gateways.ReadAllAsync(), StringComparison.Ordinal);
    }

    [StoreFact]
    public async Task KeysAreRotated_WithoutLosingAnAnswer()
    {
        await using var before = await StartAsync("old", ("old", Old));
        await using var meanwhile = await StartAsync("new", ("old", Old), ("new", New));
        await using var after = await StartAsync("new", ("new", New));
        var first = await RecordAsync(before);
        var second = await RecordAsync(meanwhile);

        Assert.True((await gateways.PostAsync(meanwhile, first.Path, first.Key)).IsReplay);
        Assert.True((await gateways.PostAsync(after, second.Path, second.Key)).IsReplay);
        Expect.Problem(503, "store-unavailable", await gateways.PostAsync(after, first.Path, first.Key));
        await after.Output.WaitForAsync(line => line.Contains("(UnknownKey)", StringComparison.Ordinal));
        Assert.Single(gateways.ArrivalsAt(first.Path));
        Assert.Single(gateways.ArrivalsAt(second.Path));
    }

    [StoreFact]
    public async Task AnswersFromBeforeTheSeal_AreUsedOnlyWhereThatIsSaid()
    {
        await using var strict = await StartAsync("old", ("old", Old));
        await using var lenient = await gateways.StartGatewayAsync(
            (NoCopies, "0"), ("Idempotency__Encryption__ActiveKey", "old"), ("Idempotency__Encryption__Keys__old", Old), ("Idempotency__Encryption__Unsealed", "Accept"));
        var plain = await RecordAsync(gateways.First);

        Assert.True((await gateways.PostAsync(lenient, plain.Path, plain.Key)).IsReplay);
        Expect.Problem(503, "store-unavailable", await gateways.PostAsync(strict, plain.Path, plain.Key));
        await strict.Output.WaitForAsync(line => line.Contains("(NotSealed)", StringComparison.Ordinal));
        Assert.Single(gateways.ArrivalsAt(plain.Path));
    }

    private Task<GatewayProcess> StartAsync(string active, params (string Id, string Key)[] ring) => gateways.StartGatewayAsync(
        [(NoCopies, "0"), ("Idempotency__Encryption__ActiveKey", active), .. ring.Select(key => ($"Idempotency__Encryption__Keys__{key.Id}", key.Key))]);

    /// <summary>Has one request executed, and finds its answer in the store.</summary>
    private async Task<(string Path, string Key, string Text, string Record, byte[] Sealed)> RecordAsync(GatewayProcess gateway)
    {
        var (path, key) = (PolicyGateways.NewPath("wait"), EmbeddedGateway.NewKey());
        var text = $"words of {path} that nobody else may read";
        gateways.AnswerAt(path, context => context.Response.WriteAsync(text));
        var before = (await gateways.ReadAnswersAsync()).Keys;
        var answer = await gateways.PostAsync(gateway, path, key);
        Assert.Equal((200, text), (answer.Status, answer.Text));
        var (record, recorded) = Assert.Single(await gateways.ReadAnswersAsync(), entry => !before.Contains(entry.Key));
        return (path, key, text, record, recorded);
    }
}

public sealed class EmbeddedSealTests(EmbeddedPolicyGateways gateways) : SealTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisSealTests(RedisPolicyGateways gateways) : SealTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresSealTests(PostgresPolicyGateways gateways) : SealTests(gateways), IClassFixture<PostgresPolicyGateways>;
