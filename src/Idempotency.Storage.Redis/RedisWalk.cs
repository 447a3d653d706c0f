using System.Globalization;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>Walks through the keys of each master with SCAN, one master after the other, and finds the records that are uncertain.</summary>
internal sealed class RedisWalk(RedisCalls calls, RedisConnection connection, RedisKeys keys, StoreSettings settings, string description, TimeProvider time, ILogger logger)
{
    private const string Start = "0";

    /// <summary>How many records are read at a time: a crowd of reads must leave room for claims.</summary>
    private const int Batch = 100;

    /// <summary>The year 5138; what lies behind it is no time.</summary>
    private const long MaxMilliseconds = 100_000_000_000_000;

    private static readonly RedisValue[] Fields = ["s", "l"];

    /// <summary>After SCAN was denied: the right may be given at any time.</summary>
    private static readonly TimeSpan PauseAfterDenial = TimeSpan.FromMinutes(1);

    /// <summary>The masters of this round, each with its run: another run has other keys.</summary>
    private List<string> _round = [];
    private int _place;
    private string _cursor = Start;
    private long? _deniedAt;
    private readonly HashSet<string> _deniedBy = [];

    /// <exception cref="StoreUnavailableException">A server did not answer in time, not all are there, or the user may not run SCAN.</exception>
    public async ValueTask<UncertainPart> WalkAsync(int max, CancellationToken cancellationToken)
    {
        if (_deniedAt is { } deniedAt && time.GetElapsedTime(deniedAt) < PauseAfterDenial)
        {
            throw new StoreUnavailableException("a server does not let SCAN be run");
        }

        var nodes = connection.Masters.OrderBy(NameOf, StringComparer.Ordinal).ToList();
        if (nodes.Count == 0)
        {
            throw new StoreUnavailableException("no master is connected");
        }

        if (!nodes.Select(NameOf).SequenceEqual(_round))
        {
            (_round, _place, _cursor) = ([.. nodes.Select(NameOf)], 0, Start); // a server was replaced: what was met of it says nothing
        }

        var isFirst = _place == 0 && _cursor == Start;
        var (cursor, ids) = await ScanAsync(nodes[_place], max, cancellationToken);
        var found = new List<UncertainMark>();
        foreach (var batch in ids.Chunk(Batch))
        {
            found.AddRange((await Task.WhenAll(batch.Select(id => ReadAsync(id, nodes[_place], cancellationToken)))).OfType<UncertainMark>());
        }

        // Only now: what failed is done again.
        _cursor = cursor;
        _place = (_place + (cursor == Start ? 1 : 0)) % nodes.Count;
        return new UncertainPart(found, isFirst, IsLast: cursor == Start && _place == 0);
    }

    private static string NameOf(RedisNode node) => $"{node.EndPoint} {node.Identity}";

    private async Task<(string Cursor, IReadOnlyList<RecordId> Ids)> ScanAsync(RedisNode node, int max, CancellationToken cancellationToken)
    {
        RedisResult[] reply;
        try
        {
            reply = (RedisResult[])(await CallAsync(
                database => database.Multiplexer.GetServer(node.EndPoint).ExecuteAsync(-1, "SCAN", [_cursor, "MATCH", keys.RecordPattern, "COUNT", max]), cancellationToken))!;
            _deniedAt = null;
        }
        catch (StoreUnavailableException e) when (RedisErrors.IsServerError(e.InnerException, "NOPERM") || RedisErrors.IsServerError(e.InnerException, "ERR unknown") || e.InnerException is RedisCommandException)
        {
            _deniedAt = time.GetTimestamp();
            if (_deniedBy.Add(NameOf(node)))
            {
                StoreLog.Preflight(logger, $"{description}, server {node.EndPoint}", "SCAN cannot be run: keys of gateways that were killed are neither told of nor counted, before their retries come");
            }

            throw;
        }

        var ids = new List<RecordId>();
        foreach (var key in (RedisResult[])reply[1]!)
        {
            if ((string?)key is { Length: > 2 * Digest.Size } name && RecordId.TryParse(name[^(2 * Digest.Size)..], out var id))
            {
                ids.Add(id);
            }
        }

        return ((string)reply[0]!, ids);
    }

    /// <returns>Null when it is not uncertain.</returns>
    private async Task<UncertainMark?> ReadAsync(RecordId id, RedisNode node, CancellationToken cancellationToken)
    {
        RedisValue[] fields;
        try
        {
            fields = await CallAsync(database => database.HashGetAsync(keys.Of(id)[0], Fields, CommandFlags.DemandMaster), cancellationToken);
        }
        catch (StoreUnavailableException e) when (RedisErrors.IsServerError(e.InnerException, "WRONGTYPE"))
        {
            return null; // damaged, which its own retry is told; the round goes on
        }

        if ((string?)fields[0] is not ("u" or "c" or "o")
            || !long.TryParse((string?)fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var since) || since > MaxMilliseconds)
        {
            return null; // gone since, settled, forgotten, or damaged
        }

        var (isMarked, age) = (fields[0] == "u", TimeSpan.FromMilliseconds(node.Clock.Now - since));
        return isMarked || age >= TimeSpan.Zero ? new UncertainMark(id, isMarked, age) : null;
    }

    private Task<T> CallAsync<T>(Func<IDatabase, Task<T>> call, CancellationToken cancellationToken) =>
        calls.CallAsync(call, node: null, settings.Timeout, cancellationToken);
}
