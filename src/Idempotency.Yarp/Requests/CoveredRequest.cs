using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>A request that a policy covers, and what was read of it; that stays until it is answered.</summary>
internal sealed class CoveredRequest(HttpContext context, IdempotencyPolicy policy) : IAsyncDisposable
{
    public HttpContext Context => context;

    public IdempotencyPolicy Policy => policy;

    /// <summary>What the policy's selectors find.</summary>
    public RequestValues Values { get; } = new(context);

    /// <summary>All of it, read and set back; null until step 4.</summary>
    public RequestBody? Body { get; set; }

    public ValueTask DisposeAsync()
    {
        Values.Content?.Dispose();
        return Body?.DisposeAsync() ?? default;
    }
}
