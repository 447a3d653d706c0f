using System.Diagnostics.Metrics;
using System.IO.Pipelines;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>What is kept for a slow client, how long it is waited for, and that all room is given back. The server is a pipe that a test reads.</summary>
public sealed class ClientSpoolTests : IAsyncDisposable
{
    private const int ServerBytes = 64 * 1024;
    private const int MaxBytes = 2 * 1024 * 1024;
    private static readonly LimitSettings Limits = new() { BufferedBytes = 8 * MaxBytes, SlowReader = TimeSpan.FromSeconds(20) };

    private readonly Pipe _server = new(new PipeOptions(pauseWriterThreshold: ServerBytes, resumeWriterThreshold: ServerBytes / 2, useSynchronizationContext: false));
    private readonly FakeTimeProvider _time = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly BufferBudget _budget;
    private readonly Connection _connection = new();
    private readonly ClientSpool _spool;

    public ClientSpoolTests()
    {
        _budget = new BufferBudget(Limits, new IdempotencyMetrics(_services.GetRequiredService<IMeterFactory>()));
        var context = new DefaultHttpContext();
        context.Features.Set<IHttpRequestLifetimeFeature>(_connection);
        _spool = new ClientSpool(context, new Server(_server.Writer), MaxBytes, _budget, Limits, _time);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.Reader.CompleteAsync();
        await _spool.DisposeAsync();
        _connection.Dispose();
        await _services.DisposeAsync();
    }

    [Fact]
    public async Task WhatTheClientDoesNotTake_IsKeptForIt_InOrder()
    {
        var bytes = Bytes(MaxBytes);
        for (var sent = 0; sent < bytes.Length; sent += 17_000)
        {
            await _spool.WriteAsync(bytes.AsMemory(sent, Math.Min(17_000, bytes.Length - sent)));
        }

        var given = _spool.WhenGivenAsync();
        Assert.False(given.IsCompleted);
        Assert.Equal(bytes, await ReadAsync(bytes.Length));
        await given;
        Assert.Equal(0, Taken());
    }

    [Fact]
    public async Task ADrip_TakesNoMoreRoomThanItsBytes()
    {
        await _spool.WriteAsync(new byte[2 * ServerBytes]);
        var before = Taken();
        for (var i = 0; i < 10_000; i++)
        {
            await _spool.WriteAsync(new byte[] { 1 });
        }

        Assert.InRange(Taken() - before, 0, 64 * 1024);
    }

    [Fact]
    public async Task BeyondThat_ItIsWaitedFor_AndLetGo_AndTheAnswerGoesOnForAWhile()
    {
        await _spool.WriteAsync(new byte[MaxBytes]);
        var more = _spool.WriteAsync(new byte[MaxBytes]).AsTask();
        _time.Advance(ClientSpool.Patience - TimeSpan.FromMilliseconds(1));
        Assert.False(more.IsCompleted);
        Assert.Equal(TimeSpan.Zero, _spool.GoesOnFor);

        _time.Advance(TimeSpan.FromMilliseconds(1));
        await more;

        Assert.True(_connection.IsAborted);
        Assert.Equal((Limits.SlowReader, 0), (_spool.GoesOnFor, Taken()));
        await _spool.WriteAsync(new byte[MaxBytes]);
        Assert.Equal(0, Taken());
        _time.Advance(2 * Limits.SlowReader);
        Assert.Equal(TimeSpan.Zero, _spool.GoesOnFor);
    }

    [Fact]
    public async Task ItsPausesCountTogether()
    {
        await _spool.WriteAsync(new byte[MaxBytes]);
        for (var pause = 0; pause < 2; pause++)
        {
            var more = _spool.WriteAsync(new byte[256 * 1024]).AsTask();
            _time.Advance(ClientSpool.Patience / 2);
            if (pause == 0)
            {
                await ReadAsync(400 * 1024);
                await more;
                await _spool.WriteAsync(new byte[100 * 1024]);
            }
            else
            {
                await more;
            }
        }

        Assert.True(_connection.IsAborted);
    }

    [Fact]
    public async Task WhereNobodyWaits_ItIsWaitedForWithoutEnd()
    {
        await _spool.WriteAsync(new byte[MaxBytes]);
        _spool.IsUrgent = false;
        var more = _spool.WriteAsync(new byte[4 * ServerBytes]).AsTask();
        _time.Advance(TimeSpan.FromHours(1));
        Assert.False(more.IsCompleted);

        await ReadAsync(8 * ServerBytes);
        await more; // a part of what is kept was taken: there is room again
        Assert.False(_connection.IsAborted);
    }

    [Fact]
    public async Task WithoutRoomInTheBudget_ItIsWaitedForAtOnce()
    {
        Assert.True(_budget.TryTakeForReplay(Limits.BufferedBytes / 2));

        var more = _spool.WriteAsync(new byte[4 * ServerBytes]).AsTask();
        Assert.False(more.IsCompleted);
        _time.Advance(ClientSpool.Patience);
        await more;

        Assert.True(_connection.IsAborted);
    }

    [Fact]
    public async Task AServerThatFails_CutsTheClient_AndTheAnswerGoesOn()
    {
        await _spool.WriteAsync(new byte[4 * ServerBytes]);
        await _server.Writer.CompleteAsync();
        await _server.Reader.CompleteAsync(); // the pending flush ends, and the next write throws
        await _spool.WhenGivenAsync();

        Assert.Equal((true, 0), (_connection.IsAborted, Taken()));
        await _spool.WriteAsync(new byte[4 * ServerBytes]);
    }

    [Fact]
    public async Task TheEndOfTheRequest_GivesAllRoomBack()
    {
        await _spool.WriteAsync(new byte[MaxBytes]);
        _connection.Aborting = () => _server.Reader.Complete();

        await _spool.DisposeAsync();

        Assert.Equal((true, 0), (_connection.IsAborted, Taken()));
    }

    private static byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(i => (byte)(i / 1000 % 251))];

    private async Task<byte[]> ReadAsync(int count)
    {
        using var read = new MemoryStream();
        while (read.Length < count)
        {
            var result = await _server.Reader.ReadAsync();
            var buffer = result.Buffer.Slice(0, Math.Min(result.Buffer.Length, count - read.Length));
            foreach (var segment in buffer)
            {
                read.Write(segment.Span);
            }

            _server.Reader.AdvanceTo(buffer.End);
        }

        return read.ToArray();
    }

    /// <summary>What of the budget is in use.</summary>
    private long Taken()
    {
        var free = 0L;
        for (var step = Limits.BufferedBytes; step > 0; step /= 2)
        {
            while (_budget.TryTakeForAnswer(step))
            {
                free += step;
            }
        }

        _budget.Return(free);
        return Limits.BufferedBytes - free;
    }

    private sealed class Connection : IHttpRequestLifetimeFeature, IDisposable
    {
        private readonly CancellationTokenSource _aborted = new();

        public Connection()
        {
            RequestAborted = _aborted.Token;
        }

        public Action? Aborting { get; set; }

        public bool IsAborted { get; private set; }

        public CancellationToken RequestAborted { get; set; }

        // The token follows later, as with the real server.
        public void Abort()
        {
            IsAborted = true;
            Aborting?.Invoke();
        }

        public void Dispose() => _aborted.Dispose();
    }

    private sealed class Server(PipeWriter writer) : IHttpResponseBodyFeature
    {
        public Stream Stream => writer.AsStream();

        public PipeWriter Writer => writer;

        public Task CompleteAsync() => Task.CompletedTask;

        public void DisableBuffering()
        {
        }

        public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public Task StartAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;
    }
}
