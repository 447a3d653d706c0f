using System.Globalization;
using System.Net;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Asks the Sentinels who the master is. The gateway talks to that server only: a former master that comes back still takes itself for one,
/// until a Sentinel has told it otherwise. (The client's own Sentinel support connects to all servers and believes what each says of
/// itself; see docs/decisions/0015-redis-client.md.)
/// </summary>
internal sealed class RedisSentinels(RedisOptions options, TimeProvider time)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly RedisRefusals _refusals = new(options.SentinelUser, options.SentinelPassword, options.Tls, time);

    /// <summary>The master that most of the answering Sentinels name; of two that are named alike often, the first in the configuration's order.</summary>
    /// <exception cref="StoreUnavailableException">None of them names one; the message says why.</exception>
    public async Task<EndPoint> FindMasterAsync(CancellationToken cancellationToken)
    {
        var answers = await Task.WhenAll(options.EndPoints.Select(sentinel => AskAsync(sentinel, cancellationToken)));
        return answers.Where(answer => answer.Master is not null).GroupBy(answer => answer.Master!).MaxBy(group => group.Count())?.Key
            ?? throw new StoreUnavailableException(RedisLinks.Join(answers.Select(answer => (answer.Sentinel, answer.Refusal!)), "the Sentinel"));
    }

    private async Task<(EndPoint Sentinel, EndPoint? Master, string? Refusal)> AskAsync(EndPoint sentinel, CancellationToken cancellationToken)
    {
        try
        {
            using var knock = await _refusals.OpenAsync(sentinel, cancellationToken);
            using var deadline = new CancellationTokenSource(Patience, time);
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
            return await knock.AskAsync(bound.Token, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", options.ServiceName!) switch
            {
                object?[] and [string host, string port] when int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out var number) =>
                    (sentinel, RedisAddresses.ToEndPoint(host, number), null),
                null or object?[] => (sentinel, null, $"it knows no service {SafeText.OfName(options.ServiceName!)} (Store:Redis:Sentinel:ServiceName)"),
                RedisReplyError { Text: var text } when text.Contains("unknown command", StringComparison.OrdinalIgnoreCase) => (sentinel, null, "it is no Sentinel"),
                RedisReplyError { Text: var text } => (sentinel, null, RedisErrors.DescribeReply(text)),
                _ => (sentinel, null, "it is no Sentinel"),
            };
        }
        catch (Exception e) when (e is StoreUnavailableException or IOException or InvalidDataException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return (sentinel, null, e is StoreUnavailableException ? e.Message : "no answer");
        }
    }
}
