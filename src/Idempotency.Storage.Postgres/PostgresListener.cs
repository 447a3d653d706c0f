using System.Globalization;
using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Hears what is announced (LISTEN), on one connection of its own, from the first use on. Best effort: what is announced while the connection is
/// down is missed. On the same connection it looks whether the server is still the same, so that also a gateway without requests notices.
/// </summary>
internal sealed class PostgresListener(PostgresConnections connections, TimeSpan timeout, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a silent connection is believed in, and how often the server is looked at.</summary>
    public static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _lock = new();
    private volatile TaskCompletionSource _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Task? _loop;

    public event Action<RecordId>? Changed;

    public event Action<RecordId>? Forgotten;

    /// <summary>The table with this number was swept.</summary>
    public event Action<long>? Swept;

    /// <summary>Begins to listen, if not done before.</summary>
    /// <returns>Ends when that has succeeded or failed for the first time, or after half of the timeout; never fails.</returns>
    public async Task StartAsync()
    {
        if (_loop is null)
        {
            lock (_lock)
            {
                _loop ??= _closing.IsCancellationRequested ? Task.CompletedTask : Task.Run(ListenForEverAsync);
            }
        }

        if (!_tried.Task.IsCompleted)
        {
            await Task.WhenAny(_tried.Task, Task.Delay(timeout / 2, time));
        }
    }

    /// <returns>Ends when announcements are heard, or after half of the timeout; never fails.</returns>
    public async Task FollowAsync()
    {
        _ = StartAsync();
        var listening = _listening.Task;
        if (!listening.IsCompleted)
        {
            await Task.WhenAny(listening, Task.Delay(timeout / 2, time));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        // A connection that hangs does not hold up the end.
        await Task.WhenAny(_loop ?? Task.CompletedTask, Task.Delay(timeout, time));
    }

    private async Task ListenForEverAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                await ListenAsync();
            }
#pragma warning disable CA1031 // whatever it was, it is tried again, and callers poll meanwhile
            catch (Exception)
#pragma warning restore CA1031
            {
                _tried.TrySetResult();
                if (_listening.Task.IsCompleted)
                {
                    _listening = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                }

                await Task.Delay(RetryInterval, time, CancellationToken.None);
            }
        }
    }

    private async Task ListenAsync()
    {
        var connection = await OpenAsync();
        var call = Task.CompletedTask;
        try
        {
            connection.Notification += Hear;
            await (call = RunAsync(connection, $"LISTEN idempotency_changed; LISTEN idempotency_forgotten; LISTEN {PostgresSql.SweptChannel}")).WaitAsync(timeout, time);
            _listening.TrySetResult();
            _tried.TrySetResult();
            while (true)
            {
                var looked = time.GetTimestamp();
                for (var left = LookInterval; left > TimeSpan.Zero; left = LookInterval - time.GetElapsedTime(looked))
                {
                    // In whole milliseconds, and never 0, which Npgsql takes for "without end".
                    await connection.WaitAsync((int)Math.Ceiling(left.TotalMilliseconds), _closing.Token);
                }

                await (call = connections.LookAsync(connection)).WaitAsync(timeout, time);
            }
        }
        finally
        {
            // Not while a call hangs on it, which nothing can end; another connection is opened meanwhile.
            _ = call.ContinueWith(_ => connection.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private async Task<NpgsqlConnection> OpenAsync()
    {
        using var late = new CancellationTokenSource(timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, _closing.Token);
        return await connections.OpenOwnAsync(either.Token);
    }

    private static async Task RunAsync(NpgsqlConnection connection, string sql)
    {
#pragma warning disable CA2100 // constants of this file
        using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }

    private void Hear(object sender, NpgsqlNotificationEventArgs notification)
    {
        if (notification.Channel == PostgresSql.SweptChannel)
        {
            if (long.TryParse(notification.Payload, NumberStyles.None, CultureInfo.InvariantCulture, out var table))
            {
                Swept?.Invoke(table);
            }
        }
        else if (RecordId.TryParse(notification.Payload, out var id))
        {
            (notification.Channel == "idempotency_changed" ? Changed : Forgotten)?.Invoke(id);
        }
    }
}
