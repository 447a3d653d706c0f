using Idempotency.Storage;

namespace Idempotency.Yarp.Configuration;

/// <summary>Collects everything that is wrong with a configuration, so that one run of <c>Gateway check</c> names all of it.</summary>
internal sealed class ConfigurationErrors
{
    private readonly List<string> _errors = [];
    private readonly List<string> _warnings = [];

    public IReadOnlyList<string> Errors => _errors;

    /// <summary>What is allowed but weakens the promise or does nothing.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <param name="path">The setting, as <c>Idempotency:Policies:payments:Lease</c>.</param>
    /// <param name="value">What stands there; null when nothing does.</param>
    /// <param name="expected">What was expected instead.</param>
    public void Add(string path, string? value, string expected)
    {
        var error = value is null ? $"{path}: {expected}"
            : SafeText.IsHarmless(value) ? $"{path} = \"{value}\": expected {expected}"
            : $"{path}: expected {expected} (the value is not repeated, because it may hold a credential)";
        if (!_errors.Contains(error))
        {
            _errors.Add(error);
        }
    }

    public void Warn(string path, string message) => _warnings.Add($"{path}: {message}");
}
