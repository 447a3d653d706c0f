namespace Idempotency.Storage;

/// <summary>A configured secret: whoever prints the settings that hold it does not print it.</summary>
internal readonly record struct SecretText(string Value)
{
    public override string ToString() => "(hidden)";
}
