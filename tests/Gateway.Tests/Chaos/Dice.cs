namespace Gateway.Tests.Chaos;

/// <summary>
/// The source of every choice: xorshift64*, so that one number replays the same choices on every machine and version of .NET. What the
/// kernel's scheduler makes of them differs from run to run. Not for several threads: each gets dice of its own, by <see cref="For"/>.
/// </summary>
internal sealed class Dice
{
    private ulong _state;

    private Dice(ulong state)
    {
        _state = state == 0 ? 1 : state;
    }

    /// <summary>Dice that depend on the seed and the name only, not on what others have drawn.</summary>
    public static Dice For(ulong seed, string name)
    {
        // FNV-1a over the name, then the finalizer of SplitMix64: neighbouring seeds and names give unlike states.
        var state = seed ^ 0xCBF29CE484222325;
        foreach (var character in name)
        {
            state = (state ^ character) * 0x100000001B3;
        }

        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
        return new Dice(state ^ (state >> 31));
    }

    /// <summary>0 to <paramref name="below"/> - 1.</summary>
    public int Next(int below)
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return (int)(((_state * 0x2545F4914F6CDD1D) >> 33) % (ulong)below);
    }

    public bool Chance(int percent) => Next(100) < percent;

    public T Pick<T>(IReadOnlyList<T> from) => from[Next(from.Count)];

    public TimeSpan Milliseconds(int from, int below) => TimeSpan.FromMilliseconds(from + Next(below - from));
}
