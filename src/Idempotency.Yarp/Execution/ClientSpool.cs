using System.Buffers;
using System.IO.Pipelines;
using Idempotency.Yarp.Configuration;
using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

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

    private readonly long _maxBytes = Math.Max(maxBytes, MinBytes) + PieceBytes;
    private readonly Lock _lock = new();
    private readonly Queue<Piece> _kept = new();
    private readonly CancellationToken _clientAborted = context.RequestAborted;
    private Task _pump = Task.CompletedTask;
    private bool _isPumping;
    private long _keptBytes; // of the arrays, as the budget counts them
    private TaskCompletionSource? _room;
    private TimeSpan _waited;
    private long _letGoAt;
    private volatile bool _isLetGo;
    private Piece? _last;

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
            var taken = Take(buffer.Span[..Math.Min(buffer.Length, PieceBytes)]);
            buffer = buffer[taken..];
            if (taken == 0)
            {
                await WaitForRoomAsync(cancellationToken);
            }
        }

        await StartForNobodyAsync(cancellationToken);
    }

    /// <summary>Everything is handed to the server as it comes; the head alone is when nothing has come yet.</summary>
    public override Task FlushAsync(CancellationToken cancellationToken)
    {
        if (!IsPumping && !_isLetGo && !_clientAborted.IsCancellationRequested)
        {
            Take([]);
        }

        return StartForNobodyAsync(cancellationToken);
    }

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

    /// <returns>How many of the bytes; none when the client must read first.</returns>
    private int Take(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_isPumping)
            {
                return Keep(bytes);
            }
        }

        // Nobody else writes while nothing is kept.
        Inner.Writer.Write(bytes);
        var flushed = Inner.Writer.FlushAsync(CancellationToken.None);
        if (flushed.IsCompleted)
        {
            flushed.GetAwaiter().GetResult();
            return bytes.Length;
        }

        lock (_lock)
        {
            _isPumping = true;
            _pump = PumpAsync(flushed);
        }

        return bytes.Length;
    }

    private int Keep(ReadOnlySpan<byte> bytes)
    {
        if (_last is null || _last.Length == _last.Bytes.Length)
        {
            var array = ArrayPool<byte>.Shared.Rent(PieceBytes);
            if (_keptBytes + array.Length > _maxBytes || !budget.TryTakeForReplay(array.Length))
            {
                ArrayPool<byte>.Shared.Return(array);
                _room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return 0;
            }

            _kept.Enqueue(_last = new Piece(array));
            _keptBytes += array.Length;
        }

        var taken = Math.Min(bytes.Length, _last.Bytes.Length - _last.Length);
        bytes[..taken].CopyTo(_last.Bytes.AsSpan(_last.Length));
        _last.Length += taken;
        return taken;
    }

    /// <summary>Who follows the answer is told by its beginning that it began, also when nobody is there to read it.</summary>
    private Task StartForNobodyAsync(CancellationToken cancellationToken) =>
        _clientAborted.IsCancellationRequested && !_isLetGo && !context.Response.HasStarted ? Inner.StartAsync(cancellationToken) : Task.CompletedTask;

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
            while (TakeOut() is { } next)
            {
                try
                {
                    Inner.Writer.Write(next.Bytes.AsSpan(0, next.Length));
                }
                finally
                {
                    Return(next);
                }

                await Inner.Writer.FlushAsync(CancellationToken.None);
            }
        }
#pragma warning disable CA1031 // whatever the server says of its client, the client has not got everything
        catch (Exception)
#pragma warning restore CA1031
        {
            if (!_clientAborted.IsCancellationRequested)
            {
                LetGo();
            }

            lock (_lock)
            {
                Discard();
                _isPumping = false;
                _room?.TrySetResult();
            }
        }
    }

    /// <summary>The next piece; null when there is none, and the pump stops.</summary>
    private Piece? TakeOut()
    {
        lock (_lock)
        {
            _isPumping = _kept.TryDequeue(out var next);
            if (next is not null)
            {
                _keptBytes -= next.Bytes.Length;
                _last = next == _last ? null : _last;
            }

            _room?.TrySetResult();
            return next;
        }
    }

    private void Discard()
    {
        _last = null;
        while (_kept.TryDequeue(out var next))
        {
            _keptBytes -= next.Bytes.Length;
            Return(next);
        }
    }

    private void Return(Piece kept)
    {
        budget.Return(kept.Bytes.Length);
        ArrayPool<byte>.Shared.Return(kept.Bytes);
    }

    /// <summary>What comes in drips shares an array.</summary>
    private sealed class Piece(byte[] bytes)
    {
        public byte[] Bytes => bytes;

        public int Length { get; set; }
    }
}
