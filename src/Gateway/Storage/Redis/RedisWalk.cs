using System.Globalization;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Walks through the keys of each master with SCAN, and finds the records that are uncertain. A user without that right walks through nothing,
/// which is said once.
/// </summary>
internal sealed class RedisWalk(RedisCalls calls, RedisConnection connection, RedisKeys keys, StoreSettings settings, string description, ILogger logger)
{
    private static readonly RedisValue[] Fields = ["s", "l"];

    private string? _server;
    private string? _cursor;
    private bool _isDenied;

    /// <exception cref="StoreUnavailableException">The server did not answer in time.</exception>
    public async ValueTask<UncertainPart> WalkAsync(int max, CancellationToken cancellationToken)
    {
        // By name, so that a round goes on where it was when one comes or goes; a run that was replaced is walked through from its beginning.
        var servers = connection.Masters.OrderBy(node => NameOf(node), StringComparer.Ordinal).ToList();
        var node = servers.Find(node => NameOf(node) == _server) ?? servers.Find(node => StringComparer.Ordinal.Compare(NameOf(node), _server) > 0);
        if (_isDenied || node is null)
        {
            _server = null;
            return new UncertainPart([], IsLast: true);
        }

        if (NameOf(node) != _server)
        {
            (_server, _cursor) = (NameOf(node), "0");
        }

        IReadOnlyList<RecordId> ids;
        try
        {
            (_cursor, ids) = await CallAsync(database => ScanAsync(database.Multiplexer.GetServer(node.EndPoint), _cursor!, max), cancellationToken);
        }
        catch (StoreUnavailableException e) when (e.InnerException is RedisServerException denied && RedisErrors.HasCode(denied, "NOPERM"))
        {
            _isDenied = true;
            StoreLog.Preflight(logger, description, "the user may not run SCAN: keys that a gateway left uncertain when it was killed are told by their retries only (see the ACL rule in docs/operations.md)");
            return new UncertainPart([], IsLast: true);
        }

        var marks = await Task.WhenAll(ids.Select(id => ReadAsync(id, node, cancellationToken)));
        var isLast = false;
        if (_cursor == "0")
        {
            var next = servers.SkipWhile(other => other != node).Skip(1).FirstOrDefault();
            _server = next is null ? null : NameOf(next);
            isLast = next is null;
        }

        return new UncertainPart([.. marks.OfType<UncertainMark>()], isLast);
    }

    private static string NameOf(RedisNode node) => $"{node.EndPoint} {node.Identity}";

    private async Task<(string Cursor, IReadOnlyList<RecordId> Ids)> ScanAsync(IServer server, string cursor, int max)
    {
        var reply = (RedisResult[])(await server.ExecuteAsync(-1, "SCAN", [cursor, "MATCH", keys.RecordPattern, "COUNT", max]))!;
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
        catch (StoreUnavailableException e) when (e.InnerException is RedisServerException denied && RedisErrors.HasCode(denied, "WRONGTYPE"))
        {
            return null; // damaged, which its own retry is told; the round goes on
        }

        if ((string?)fields[0] is not { } state || !long.TryParse((string?)fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var since))
        {
            return null; // gone since, or forgotten
        }

        var age = TimeSpan.FromMilliseconds(node.Clock.Now - since);
        return state == "u" ? new UncertainMark(id, IsMarked: true, age) : state is "c" or "o" && age >= TimeSpan.Zero ? new UncertainMark(id, IsMarked: false, age) : null;
    }

    private Task<T> CallAsync<T>(Func<IDatabase, Task<T>> call, CancellationToken cancellationToken) =>
        calls.CallAsync(call, node: null, settings.Timeout, cancellationToken);
}
