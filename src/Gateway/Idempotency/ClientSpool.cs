using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.ExceptionServices;
using Gateway.Configuration;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.Idempotency;

/// <summary>
/// Stands between a backend that sends and a client that reads, where others wait for the backend to be done: for the record of a streamed answer, or
/// for a lock. What the client does not take is kept for it, up to the size of an answer that would be recorded; one that then still does not take it
/// is let go, and the backend's answer goes on without it. Where nobody waits, the client's pace is the backend's.
/// </summary>
/// <param name="context">Whose client reads.</param>
/// <param name="inner">The client's side.</param>
/// <param name="maxBytes">Of an answer that would be recorded.</param>
/// <param name="budget">What all bodies share.</param>
/// <param name="limits">How long a client may take for what the gateway has as a whole, and how long an answer goes on that has no reader.</param>
/// <param name="time">The clock.</param>
internal sealed class ClientSpool(
    HttpContext context, IHttpResponseBodyFeature inner, long maxBytes, BufferBudget budget, LimitSettings limits, TimeProvider time)
    : WriteOnlyBody(inner)
{
    /// <summary>How long a client may keep others waiting, in all its pauses together.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>What is kept for the client at most is the size of an answer that would be recorded, and no less than this.</summary>
    private const int MinBytes = 1024 * 1024;

    /// <summary>What is handed to the server at a time, which takes it whole.</summary>
    private const int PieceBytes = 32 * 1024;

    private readonly long _maxBytes = Math.Max(maxBytes, MinBytes);
    private readonly Lock _lock = new();
    private readonly Queue<(byte[] Bytes, int Length)> _kept = new();
    private readonly CancellationToken _clientAborted = context.RequestAborted;
    private Task _pump = Task.CompletedTask;
    private bool _isPumping;
    private long _keptBytes;
    private TaskCompletionSource? _room;
    private TimeSpan _waited;
    private long _letGoAt;
    private volatile bool _isLetGo;
    private Exception? _failure;

    /// <summary>Whether anybody waits for the backend to be done.</summary>
    public bool IsUrgent { get; set; } = true;

    /// <summary>The client has what there is, or is gone.</summary>
    public Task WhenGivenAsync()
    {
        lock (_lock)
        {
            return _pump;
        }
    }

    /// <summary>
    /// For how long the answer goes on without its client: not at all after one that hung up, because it may have no end; a while after one that was
    /// only too slow, because the others wait for its end.
    /// </summary>
    public TimeSpan GoesOnFor => _isLetGo ? TimeSpan.FromTicks(Math.Max(0, (limits.SlowReader - time.GetElapsedTime(_letGoAt)).Ticks)) : TimeSpan.Zero;

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty && !_isLetGo && !_clientAborted.IsCancellationRequested)
        {
            var piece = buffer[..Math.Min(buffer.Length, PieceBytes)];
            if (TryTake(piece.Span))
            {
                buffer = buffer[piece.Length..];
            }
            else
            {
                await WaitForRoomAsync(cancellationToken);
            }
        }
    }

    /// <summary>Everything is handed to the server as it comes.</summary>
    public override Task FlushAsync(CancellationToken cancellationToken) => IsPumping || _isLetGo ? Task.CompletedTask : Inner.Stream.FlushAsync(cancellationToken);

    /// <summary>Nothing is written to the client once its request is over.</summary>
    public override async ValueTask DisposeAsync()
    {
        if (IsPumping)
        {
            context.Abort();
            lock (_lock)
            {
                Discard();
            }

            await _pump;
        }

        await base.DisposeAsync();
    }

    private bool IsPumping
    {
        get
        {
            lock (_lock)
            {
                return _isPumping;
            }
        }
    }

    /// <returns>False when the client must read first.</returns>
    private bool TryTake(ReadOnlySpan<byte> bytes)
    {
        if (_failure is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }

        lock (_lock)
        {
            if (_isPumping)
            {
                return TryKeep(bytes);
            }
        }

        // Nobody else writes while nothing is kept.
        Inner.Writer.Write(bytes);
        var flushed = Inner.Writer.FlushAsync(CancellationToken.None);
        if (flushed.IsCompleted)
        {
            flushed.GetAwaiter().GetResult();
            return true;
        }

        lock (_lock)
        {
            _isPumping = true;
            _pump = PumpAsync(flushed);
        }

        return true;
    }

    private bool TryKeep(ReadOnlySpan<byte> bytes)
    {
        if (!IsUrgent || _keptBytes + bytes.Length > _maxBytes || !budget.TryTakeForReplay(bytes.Length))
        {
            _room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return false;
        }

        var kept = ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(kept);
        _kept.Enqueue((kept, bytes.Length));
        _keptBytes += bytes.Length;
        return true;
    }

    private async Task WaitForRoomAsync(CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        try
        {
            await (IsUrgent ? _room!.Task.WaitAsync(TimeSpan.FromTicks(Math.Max(0, (Patience - _waited).Ticks)), time, cancellationToken) : _room!.Task.WaitAsync(cancellationToken));
            _waited += time.GetElapsedTime(began);
        }
        catch (TimeoutException)
        {
            LetGo();
        }
    }

    private void LetGo()
    {
        lock (_lock)
        {
            _letGoAt = time.GetTimestamp();
            _isLetGo = true;
            Discard();
        }

        context.Abort();
    }

    /// <summary>Gives the client what is kept for it, as it takes it, and ends when there is nothing.</summary>
    private async Task PumpAsync(ValueTask<FlushResult> flushed)
    {
        try
        {
            await flushed;
            while (TakeOut() is { Length: > 0 } next)
            {
                Inner.Writer.Write(next.Bytes.AsSpan(0, next.Length));
                Return(next);
                await Inner.Writer.FlushAsync(CancellationToken.None);
            }
        }
#pragma warning disable CA1031 // whatever the server says of its client, the next write is told
        catch (Exception e)
#pragma warning restore CA1031
        {
            lock (_lock)
            {
                _failure = e;
                Discard();
                _isPumping = false;
                _room?.TrySetResult();
            }
        }
    }

    /// <summary>The next piece; one without bytes when there is none, and the pump stops.</summary>
    private (byte[] Bytes, int Length) TakeOut()
    {
        lock (_lock)
        {
            _isPumping = _kept.TryDequeue(out var next);
            _keptBytes -= next.Length;
            _room?.TrySetResult();
            return next;
        }
    }

    private void Discard()
    {
        while (_kept.TryDequeue(out var next))
        {
            _keptBytes -= next.Length;
            Return(next);
        }
    }

    private void Return((byte[] Bytes, int Length) kept)
    {
        ArrayPool<byte>.Shared.Return(kept.Bytes);
        budget.Return(kept.Length);
    }
}
