namespace Idempotency.Storage.Redis;

/// <summary>
/// The password of a login, read anew whenever a connection is made where it stands in a file. A file that cannot be read any more does not
/// take back what it said before.
/// </summary>
internal sealed class RedisPassword(RedisLogin login)
{
    private volatile string? _last = login.Password?.Value;

    public string? Current
    {
        get
        {
            if (login.PasswordFile is { } file)
            {
                try
                {
                    _last = Read(file);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
                {
                    // It is being replaced, or gone: what was read last is tried.
                }
            }

            return _last;
        }
    }

    /// <summary>Editors and <c>echo</c> end the file with a line feed, which is no part of the password.</summary>
    /// <exception cref="ArgumentException">The file is empty.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file cannot be read.</exception>
    public static string Read(string file)
    {
        var text = File.ReadAllText(file);
        text = text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
        return text.Length > 0 ? text : throw new ArgumentException("the file is empty");
    }
}
