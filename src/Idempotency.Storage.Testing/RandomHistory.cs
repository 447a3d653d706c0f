using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Idempotency.Storage.Testing;

/// <summary>
/// One seeded sequence of store calls on two keys by a few owners, each call compared with <see cref="StoreModel"/>. The same seed is the
/// same history, whatever the store.
/// </summary>
internal sealed class RandomHistory
{
    private readonly StoreModel _model = new();
    private readonly StringBuilder _calls = new();
    private readonly ClaimRequest[] _owners;
    private readonly int _seed;
    private uint _state;

    public RandomHistory(int seed, TimeSpan lease, TimeSpan retention)
    {
        _seed = seed;
        _state = (uint)seed * 2654435761u + 1;
        var keys = Enumerable.Range(0, 2).Select(_ => new RecordId(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)))).ToArray();
        var digest = Digest.From(RandomNumberGenerator.GetBytes(Digest.Size));
        _owners = [.. Enumerable.Range(0, 6).Select(i => new ClaimRequest(
            keys[i % 2], new ClaimToken(Guid.NewGuid()), new Fingerprint((byte)(i / 2 % 2), digest), lease, retention))];
    }

    /// <summary>Makes some calls; returns a description of the first one that differs from the model, or null.</summary>
    public async Task<string?> RunAsync(IIdempotencyStore store, int calls)
    {
        for (var i = 0; i < calls; i++)
        {
            var owner = Next(_owners.Length);
            var claim = _owners[owner];
            var answer = (byte)Next(250);
            var (call, expected, actual) = Next(12) switch
            {
                < 4 => await ClaimAsync(store, owner, takeOver: Next(3)),
                10 => ("watch", Describe(_model.Watch(claim.Id)), Describe(await store.WatchAsync(claim.Id, default))),
                11 => ("forget", $"{_model.Forget(claim.Id)}", $"{await store.ForgetAsync(claim.Id, default)}"),
                4 => ("renew", _model.Renew(claim).ToString(), (await store.RenewAsync([claim], default))[0].ToString()),
                5 or 6 => ("settle", _model.End(claim, ClaimState.Settled, answer).ToString(), (await store.SettleAsync(claim, new[] { answer }, default)).ToString()),
                7 => ("uncertain", _model.End(claim, ClaimState.Uncertain, 0).ToString(), (await store.MarkUncertainAsync(claim, default)).ToString()),
                _ => ("release", _model.End(claim, end: null, 0).ToString(), (await store.ReleaseAsync(claim, default)).ToString()),
            };
            _calls.Append(CultureInfo.InvariantCulture, $"owner {owner} {call} {answer} -> {actual}\n");
            if (expected != actual)
            {
                return $"seed {_seed}: expected {expected}\n{_calls}";
            }
        }

        return null;
    }

    /// <summary>The store's clock went on.</summary>
    public void Step(TimeSpan by)
    {
        _model.Now += by;
        _calls.Append(CultureInfo.InvariantCulture, $"{by} pass\n");
    }

    private async Task<(string Call, string Expected, string Actual)> ClaimAsync(IIdempotencyStore store, int owner, int takeOver)
    {
        var claim = _owners[owner] with { TakeOver = takeOver };
        var found = await store.ClaimAsync(claim, default);
        if (found.State == ClaimState.Claimed)
        {
            _owners[owner] = claim with { Attempt = found.Attempt };
        }

        return ($"claim (takes over {takeOver})", Describe(_model.Claim(claim)), Describe(found));
    }

    private static string Describe((ClaimState State, Fingerprint Fingerprint, int Attempt, byte? Answer)? found) =>
        found is { } it ? $"{it.State} {it.Fingerprint.Version} attempt {it.Attempt} {it.Answer}" : "nothing";

    private static string Describe(ClaimResult? found) =>
        Describe(found is { } it ? (it.State, it.Fingerprint, it.Attempt, it.State == ClaimState.Settled ? it.Answer.Span[0] : null) : null);

    /// <summary>xorshift: repeatable, and the same on every platform.</summary>
    private int Next(int below)
    {
        _state ^= _state << 13;
        _state ^= _state >> 17;
        _state ^= _state << 5;
        return (int)(_state % (uint)below);
    }
}
