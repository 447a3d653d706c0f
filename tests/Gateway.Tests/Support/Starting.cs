namespace Gateway.Tests.Support;

/// <summary>What is made, and then started.</summary>
internal static class Starting
{
    /// <summary>Returns it started; what cannot be started leaves nothing behind.</summary>
    public static async Task<T> OrDisposedAsync<T>(T made, Func<Task> start)
        where T : IAsyncDisposable
    {
        try
        {
            await start();
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }
}
