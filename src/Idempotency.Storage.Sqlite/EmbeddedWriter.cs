using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Idempotency.Storage.Sqlite;

/// <summary>
/// The one thread that touches the SQLite file. It takes all operations that wait, runs them in one transaction and answers them after
/// the commit (group commit): under load many requests share one flush to the disk. A file that cannot be opened or written fails the
/// operations at hand and is tried again with the next ones.
/// </summary>
internal sealed class EmbeddedWriter : IDisposable
{
    /// <summary>Bounds a transaction, so that no caller waits for more than a few milliseconds of others' work.</summary>
    private const int MaxBatch = 256;

    /// <summary>What one sweep deletes: short enough to go unnoticed between requests, and it comes again at once while there is more.</summary>
    private const int SweepBatch = 200;

    /// <summary>Callers beyond this many fail at once: a disk that stalls must not fill the memory with waiting requests.</summary>
    private const int MaxWaiting = 10_000;

    /// <summary>How long a file that another gateway on this machine is writing to is waited for, in milliseconds.</summary>
    private const int BusyTimeout = 500;

    private const long SchemaVersion = 2;

    private readonly EmbeddedStoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly StoreOutage _outage;
    private readonly Channel<IEmbeddedOperation> _queue = Channel.CreateBounded<IEmbeddedOperation>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true });
    private readonly Thread _thread;
    private SqliteConnection? _connection;
    private RecordTable? _table;

    public EmbeddedWriter(EmbeddedStoreSettings settings, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _time = time;
        _outage = new StoreOutage(logger, settings.Path);
        _thread = new Thread(Run) { IsBackground = true, Name = "embedded store" };
        _thread.Start();
    }

    /// <returns>False when too many operations wait, or the writer is disposed.</returns>
    public bool TryEnqueue(IEmbeddedOperation operation) => _queue.Writer.TryWrite(operation);

    /// <summary>Deletes a batch of records whose retention is over, and goes on while there are more.</summary>
    public void Sweep() => TryEnqueue(new EmbeddedOperation<int>(
        (table, now) =>
        {
            var deleted = table.Sweep(now, SweepBatch);
            if (deleted == SweepBatch)
            {
                Sweep();
            }

            return deleted;
        },
        long.MaxValue));

    /// <summary>Ends after the operations that wait were run.</summary>
    public void Dispose()
    {
        _queue.Writer.TryComplete();
        _thread.Join();
    }

    private void Run()
    {
        var batch = new List<IEmbeddedOperation>(MaxBatch);
        while (_queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (batch.Count < MaxBatch && _queue.Reader.TryRead(out var operation))
            {
                batch.Add(operation);
            }

            RunBatch(batch);
            batch.Clear();
        }

        Close();
    }

    private void RunBatch(List<IEmbeddedOperation> batch)
    {
        try
        {
            Open();
            _table!.Begin();
            var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
            foreach (var operation in batch)
            {
                if (operation.Expires > _time.GetTimestamp())
                {
                    operation.Run(_table, now);
                }
                else
                {
                    operation.Failed(new StoreUnavailableException("the embedded store was too slow"));
                }
            }

            _table.Commit();

            _outage.Up();
            foreach (var operation in batch)
            {
                operation.Committed();
            }
        }
        catch (SqliteException e) when (e.SqliteErrorCode is raw.SQLITE_BUSY && _table is not null)
        {
            // Another gateway on this machine holds the file for longer than the wait: nothing is wrong with it.
            _table.Rollback();
            Fail(batch, e);
        }
#pragma warning disable CA1031 // a background loop: whatever a batch throws, the thread goes on
        catch (Exception e)
#pragma warning restore CA1031
        {
            Close();
            Fail(batch, e);
        }
    }

    private void Fail(List<IEmbeddedOperation> batch, Exception e)
    {
        _outage.Down(e.Message);

        var exception = new StoreUnavailableException($"the embedded store {_settings.Path} failed: {e.Message}", e) { MayHaveTakenEffect = true };
        foreach (var operation in batch)
        {
            operation.Failed(exception);
        }
    }

    private void Open()
    {
        if (_table is not null)
        {
            return;
        }

        var path = Path.GetFullPath(_settings.Path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Pooling = false,
            DefaultTimeout = 1, // in seconds; for opening, where ADO.NET repeats by itself
        }.ToString());
        try
        {
            connection.Open();
            raw.sqlite3_busy_timeout(connection.Handle, BusyTimeout);
            Execute(connection, $"PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA synchronous = {(_settings.Durability == Durability.Full ? "FULL" : "NORMAL")};");
            if (ReadVersion(connection) != SchemaVersion)
            {
                Upgrade(connection);
            }

            _table = new RecordTable(connection.Handle!);
            _connection = connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Makes the schema, or brings an older one up to date, in one transaction.</summary>
    private static void Upgrade(SqliteConnection connection)
    {
        Execute(connection, "BEGIN IMMEDIATE");

        // Read again under the lock: another gateway may have been faster.
        var version = ReadVersion(connection);
        if (version != SchemaVersion)
        {
            Execute(connection, EmbeddedResource.Read(typeof(EmbeddedWriter), version == 0 ? "schema.sql" : "migrate-1.sql"));
        }

        Execute(connection, "COMMIT");
    }

    private static long ReadVersion(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA user_version";
        var version = (long)command.ExecuteScalar()!;
        return version is >= 0 and <= SchemaVersion
            ? version
            : throw new InvalidOperationException($"its schema is version {version}, written by a newer gateway; this one knows version {SchemaVersion}");
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants and the schema files
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    private void Close()
    {
        _table?.Dispose();
        _table = null;
        _connection?.Dispose();
        _connection = null;
    }
}
