namespace Idempotency.Yarp.Configuration;

/// <summary>What somebody who mistyped a name probably meant.</summary>
internal static class Suggestion
{
    /// <summary>What is known, and the nearest of it when one is near: <c>Lease, Mode; did you mean Lease?</c></summary>
    public static string Among(IReadOnlyCollection<string> known, string written, string separator = ", ")
    {
        var nearest = known.Distinct(StringComparer.OrdinalIgnoreCase)
            .Select(name => (name, distance: Distance(written.ToUpperInvariant(), name.ToUpperInvariant())))
            .Where(candidate => candidate.distance < candidate.name.Length && candidate.distance <= Math.Max(1, Math.Min(written.Length, candidate.name.Length) / 3))
            .OrderBy(candidate => candidate.distance)
            .Select(candidate => candidate.name)
            .FirstOrDefault();
        return string.Join(separator, known) + (nearest is null ? "" : $"; did you mean {nearest}?");
    }

    /// <summary>How many letters are left out, put in, changed, or swapped with their neighbour.</summary>
    private static int Distance(string one, string other)
    {
        var rows = new int[one.Length + 1, other.Length + 1];
        for (var i = 0; i <= one.Length; i++)
        {
            for (var j = 0; j <= other.Length; j++)
            {
                rows[i, j] = i == 0 || j == 0
                    ? i + j
                    : Math.Min(Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1, rows[i - 1, j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                {
                    rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
                }
            }
        }

        return rows[one.Length, other.Length];
    }
}
