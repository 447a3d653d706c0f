using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>A Redis Cluster changes under a gateway that uses it: slots move, a master is lost, and nobody takes a record for absent.</summary>
public sealed class ClusterChangeTests : StoreFaults
{
    private const int Keys = 30;
    private const int SlotsToMove = 200;

    [RedisFact(ownServer: true)]
    public async Task ASlotThatIsBeingMoved_LosesNothing_AndIsFoundWhereItWent()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(cluster.Configuration));
        var before = await RecordsAsync(cluster);
        var first = await PostAsync(gateway, Key);
        var (_, record) = Assert.Single((await RecordsAsync(cluster)).Except(before));

        await using (var move = await SlotMove.BeginAsync(cluster, record))
        {
            await move.MoveAsync(await move.KeysAsync());
            await AssertReplayedAsync(first, gateway, Key); // the source says ASK: told from where it is now
        }

        await AssertReplayedAsync(first, gateway, Key);
        AssertNotLogged(Alarm, gateway);
    }

    [RedisFact(ownServer: true)]
    public async Task AClusterThatIsReshardedUnderLoad_RunsNothingTwice_AndLosesNothing()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(cluster.Configuration));
        var keys = NewKeys();
        var before = await PostAllAsync(gateway, keys);

        var resharding = cluster.ReshardAsync(cluster.Nodes[0], cluster.Nodes[1], SlotsToMove);
        var during = new Dictionary<string, Answer>();
        do
        {
            foreach (var (key, answer) in await PostAllAsync(gateway, NewKeys()))
            {
                during.Add(key, answer);
            }
        }
        while (!resharding.IsCompleted);
        await resharding;

        foreach (var (key, first) in before.Concat(during))
        {
            await AssertReplayedAsync(first, gateway, key);
        }

        AssertNotLogged(Alarm, gateway);
    }

    [RedisFact(ownServer: true)]
    public async Task AMasterThatIsLost_IsReplacedByItsReplica_AndItsAnswersAreReplayed()
    {
        await using var cluster = RedisCluster.WithReplicas();
        await cluster.StartAsync();
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(cluster.Configuration));
        var answers = await PostAllAsync(gateway, NewKeys());

        await cluster.Nodes[0].StopAsync();

        foreach (var (key, first) in answers)
        {
            await AssertReplayedAsync(first, gateway, key);
        }

        foreach (var key in NewKeys())
        {
            await AssertRecoversAsync(gateway, key);
        }
    }

    [RedisFact(ownServer: true)]
    public async Task AClusterThatIsDown_RefusesEveryKey_AndGetsBackWhatItsMasterLost()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(cluster.Configuration));
        var answers = await PostAllAsync(gateway, NewKeys());

        await cluster.Nodes[0].StopAsync();
        await Eventually.TrueAsync(
            async () => (await cluster.Nodes[1].CommandAsync("CLUSTER", "INFO")).Contains("cluster_state:fail", StringComparison.Ordinal), "the cluster is down");
        await Task.WhenAll(NewKeys().Select(key => AssertRefusedInTimeAsync(gateway, key)));
        await gateway.Output.WaitForAsync(line => line.Contains("CLUSTERDOWN, ", StringComparison.Ordinal));
        await cluster.Nodes[0].StartAsync();

        foreach (var (key, first) in answers)
        {
            await AssertReplayedAsync(first, gateway, key);
        }

        await gateway.Output.WaitForAsync(line => line.Contains(Alarm, StringComparison.Ordinal));
    }

    private static List<string> NewKeys() => [.. Enumerable.Range(0, Keys).Select(_ => EmbeddedGateway.NewKey())];

    /// <summary>New keys, served one after another.</summary>
    private async Task<Dictionary<string, Answer>> PostAllAsync(GatewayProcess gateway, List<string> keys)
    {
        var answers = new Dictionary<string, Answer>();
        foreach (var key in keys)
        {
            var answer = await PostUntilServedAsync(gateway, key);
            Assert.Single(Backend.ArrivalsFor(key));
            Assert.Equal((201, null), (answer.Status, answer.Header("Idempotency-Status")));
            answers.Add(key, answer);
        }

        return answers;
    }

    private static async Task<List<(RedisProcess Node, string Record)>> RecordsAsync(RedisCluster cluster)
    {
        var records = new List<(RedisProcess Node, string Record)>();
        foreach (var node in cluster.Nodes)
        {
            var names = await node.CommandAsync("KEYS", "idem:{b*");
            records.AddRange(names.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(name => (node, name)));
        }

        return records;
    }
}
