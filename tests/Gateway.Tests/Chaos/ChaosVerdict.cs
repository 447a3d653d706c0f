using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;

namespace Gateway.Tests.Chaos;

/// <summary>Everything that was seen in a run, and what is wrong with it.</summary>
internal sealed class ChaosVerdict(
    ChaosSettings settings,
    IReadOnlyList<Operation> operations,
    IReadOnlyList<Passage> passages,
    IReadOnlyCollection<Execution> ledger,
    IReadOnlyCollection<Injection> injections,
    IReadOnlyList<GatewayNode> nodes,
    HonestWork honest,
    TimeSpan healedAt)
{
    /// <summary>Far above what these runs need, in MiB: what grows with the number of requests passes it in a longer run.</summary>
    private const long MaxMemory = 512;

    private readonly List<string> _violations = [];
    private TimeSpan? _seenAt;

    public async Task<ChaosReport> JudgeAsync(ChaosStore store)
    {
        var secret = await store.SecretAsync();
        JudgeKeys(secret);
        JudgeTimes();
        JudgeHonestWork();
        JudgeGateways(secret);
        await JudgeBytesAsync(store);
        return new ChaosReport(Summary(), _violations);
    }

    private void JudgeKeys(byte[] secret)
    {
        var checker = new HistoryChecker(ledger, healedAt, settings.AnswersApart ? ChaosAnswers.MinBytes : null);
        var history = new KeyHistory(checker, injections, [.. nodes.Select(node => (node.Name, (IEnumerable<string>)node.Process.Output))]);
        foreach (var operation in operations)
        {
            if (checker.Check(operation) is { Count: > 0 } wrong)
            {
                _violations.Add(history.Write(operation, RecordOf(operation, secret), wrong));
                SeenAt(history.SeenAt(operation, wrong));
            }
        }

        var known = operations.Select(operation => (operation.Scope, operation.Key)).ToHashSet();
        _violations.AddRange(ledger
            .Where(execution => !known.Contains((execution.Scope, execution.Key)))
            .Select(execution => $"VIOLATION: nobody asked for it: {execution}"));
    }

    private void JudgeTimes()
    {
        var promptness = new Promptness(injections, healedAt);
        _violations.AddRange(operations.SelectMany(operation => promptness.Check(operation.Attempts).Select(wrong => $"VIOLATION, {operation.Key} of {operation.Scope}: {wrong}")));
        _violations.AddRange(promptness.Check(passages).Select(wrong => $"VIOLATION: {wrong}"));
    }

    private void JudgeHonestWork()
    {
        foreach (var (at, wrong) in new HonestChecker(injections).Check(honest.History))
        {
            _violations.Add($"VIOLATION, honest backend: {wrong}");
            SeenAt(at);
        }
    }

    private void SeenAt(TimeSpan at) => _seenAt = _seenAt < at ? _seenAt : at;

    private void JudgeGateways(byte[] secret)
    {
        _violations.AddRange(nodes.SelectMany(node => node.BadExits).Select(exit => $"VIOLATION: {exit}"));
        _violations.AddRange(nodes.Where(node => Mebibytes(node) > MaxMemory).Select(node => $"VIOLATION: {node.Name} used {Mebibytes(node)} MiB of memory"));

        // Where retention ends while an owner sleeps, that owner is right to raise an alarm.
        var brief = operations.Where(operation => operation.IsBrief).Select(operation => RecordOf(operation, secret)).ToList();
        _violations.AddRange(Errors.Alarms
            .Where(line => !brief.Exists(record => line.Contains(record, StringComparison.Ordinal)))
            .Select(line => $"VIOLATION: a gateway's alarm, although the store kept every write: {line}"));
    }

    /// <summary>Invariants 19 and 21.</summary>
    private async Task JudgeBytesAsync(ChaosStore store)
    {
        var (content, wrong) = await store.DumpAsync(nodes);
        _violations.AddRange(wrong.Select(text => $"VIOLATION: {text}"));
        var bytes = new ForbiddenBytes(operations);
        _violations.AddRange(bytes.In(content).Select(found => $"VIOLATION: the store holds {found}"));
        _violations.AddRange(nodes.SelectMany(node => bytes.In(string.Join('\n', node.Process.Output)).Select(found => $"VIOLATION: the log of {node.Name} holds {found}")));
    }

    private GatewayErrors Errors => GatewayErrors.In([.. nodes.SelectMany(node => node.Process.Output)]);

    private string Summary()
    {
        var attempts = operations.SelectMany(operation => operation.Attempts).ToList();
        int Count(Completion completion) => attempts.Count(attempt => attempt.Completion == completion);
        var faults = string.Join(", ", injections.GroupBy(injection => injection.Fault.Kind).OrderBy(kind => kind.Key, StringComparer.Ordinal).Select(kind => $"{kind.Key} {kind.Count()}"));
        return $"chaos: {settings.Store}, seed {settings.Seed}: {attempts.Count} requests ({Count(Completion.Ok)} ok, {Count(Completion.Fail)} fail, "
            + $"{Count(Completion.Unknown)} unknown), {operations.Count} keys, {ledger.Count} executions, {attempts.Count(attempt => attempt.IsReplay)} replays, {attempts.Count(attempt => attempt.IsLostAnswer)} lost answers, "
            + $"{attempts.Count(attempt => attempt.Answer?.Status == 409)} conflicts (409), {attempts.Count(attempt => attempt.Answer?.Status == 422)} refused bodies (422), "
            + $"{operations.Count(operation => operation.Final?.Problem == "outcome-uncertain")} uncertain keys, {passages.Count} requests without a key, "
            + $"{injections.Count} faults ({faults}), gateway errors ({Errors}), at most {nodes.Max(Mebibytes)} MiB of memory"
            + (_seenAt is { } seenAt ? $"; first seen in what was executed or answered after {seenAt.TotalSeconds:F1} s" : "")
            + (_violations.Count == 0 ? "" : $"; again: {settings.CommandLine}")
            + string.Concat(Errors.Unforeseen.Select(error => $"; not foreseen: {error}"))
            + $", {_violations.Count} violations";
    }

    private static long Mebibytes(GatewayNode node) => node.PeakMemory >> 20;

    /// <summary>How the gateways' logs call it.</summary>
    private static string RecordOf(Operation operation, byte[] secret)
    {
        var context = new DefaultHttpContext();
        context.Request.Headers.Authorization = operation.Scope;
        return RecordIds.Create(secret, new RequestValues(context), new IdempotencyPolicy { Name = operation.IsBrief ? "brief" : "chaos" }, operation.Key).Short;
    }
}
