using Npgsql;

namespace Gateway.Tests.Support;

/// <summary>What tests ask a database behind the gateways' back.</summary>
internal static class PostgresQuery
{
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
}
