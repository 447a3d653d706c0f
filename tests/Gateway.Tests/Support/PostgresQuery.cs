using System.Globalization;
using System.Text;
using Npgsql;

namespace Gateway.Tests.Support;

/// <summary>What tests ask a database behind the gateways' back.</summary>
internal static class PostgresQuery
{
    /// <summary>The same database, by way of a proxy.</summary>
    public static string Via(string connectionString, string endpoint) => new NpgsqlConnectionStringBuilder(connectionString)
    {
        Host = endpoint.Split(':')[0],
        Port = int.Parse(endpoint.Split(':')[1], CultureInfo.InvariantCulture),
    }.ConnectionString;

    /// <summary>Statements on a connection of their own; the first value of the first row, if there is one.</summary>
    public static async Task<object?> RunAsync(string connectionString, string sql)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants of the tests
        command.CommandText = sql;
#pragma warning restore CA2100
        return await command.ExecuteScalarAsync();
    }

    /// <summary>All that the gateways keep there, as text in which a character is a byte.</summary>
    public static async Task<string> DumpAsync(string connectionString)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT * FROM idempotency_records; SELECT * FROM idempotency_secret; SELECT * FROM idempotency_schema", connection);
        await using var rows = await command.ExecuteReaderAsync();
        var all = new StringBuilder();
        do
        {
            while (await rows.ReadAsync())
            {
                all.AppendJoin(' ', Enumerable.Range(0, rows.FieldCount).Select(i => rows.GetValue(i) is byte[] bytes ? Encoding.Latin1.GetString(bytes) : rows.GetValue(i))).AppendLine();
            }
        }
        while (await rows.NextResultAsync());
        return all.ToString();
    }
}
