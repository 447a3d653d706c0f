using System.Reflection;
using System.Runtime.ExceptionServices;
using Idempotency.Storage;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using Xunit.Sdk;

namespace Gateway.Tests.Storage;

/// <summary>The contract is worth what it finds: each of its tests fails for a store with a planted defect, and none for the same store without one.</summary>
public sealed class StoreContractProofTests
{
    private static readonly IReadOnlyList<MethodInfo> Contract =
        [.. typeof(StoreContractTests).GetMethods().Where(method => method.GetCustomAttributes<FactAttribute>().Any()).OrderBy(method => method.Name, StringComparer.Ordinal)];

    public static TheoryData<string> Defects => [.. PlantedDefect.All.Select(defect => defect.Name)];

    [Theory]
    [MemberData(nameof(Defects))]
    public async Task AStoreWithADefect_Fails(string name)
    {
        var defect = PlantedDefect.All.Single(defect => defect.Name == name);
        foreach (var test in defect.Tests)
        {
            var failure = await FailureOfAsync(Contract.Single(method => method.Name == test), defect.Open, patience: TimeSpan.FromMilliseconds(500));

            Assert.True(failure is XunitException, $"{test}: {failure?.ToString() ?? "passed"}");
        }
    }

    [Fact]
    public async Task TheStoreWithoutADefect_Passes()
    {
        foreach (var test in Contract)
        {
            Assert.Null(await FailureOfAsync(test, (database, _) => new MemoryStore(database), Support.Bounds.Wait));
            Assert.Null(await FailureOfAsync(test, (database, _) => new DefectiveStore(database), Support.Bounds.Wait));
        }
    }

    [Fact]
    public void EveryTestOfTheContract_FailsForADefect()
    {
        Assert.NotEmpty(Contract);
        Assert.Empty(Contract.Select(method => method.Name).Except(PlantedDefect.All.SelectMany(defect => defect.Tests)));
    }

    /// <summary>The acceptance of the contract: what it takes to write a store.</summary>
    [Fact]
    public void TheStore_HasLessThan150Lines() => Assert.InRange(File.ReadLines(Repository.RepositoryFiles.PathOf("tests/Gateway.Tests/Storage/MemoryStore.cs")).Count(), 1, 149);

    /// <summary>Runs a test as xunit does; of a theory every case, until one fails.</summary>
    private static async Task<Exception?> FailureOfAsync(MethodInfo test, Func<MemoryStore.Database, TimeProvider, IIdempotencyStore> open, TimeSpan patience)
    {
        var cases = test.GetCustomAttributes<DataAttribute>().SelectMany(data => data.GetData(test)).DefaultIfEmpty([]);
        foreach (var arguments in cases)
        {
            var contract = new ContractOf(open, patience);
            await contract.InitializeAsync();
            var failure = await Record.ExceptionAsync(() => Invoke(test, contract, arguments));
            await contract.DisposeAsync();
            if (failure is not null)
            {
                return failure;
            }
        }

        return null;
    }

    private static Task Invoke(MethodInfo test, ContractOf contract, object[] arguments)
    {
        try
        {
            return (Task)test.Invoke(contract, arguments)!;
        }
        catch (TargetInvocationException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
            throw;
        }
    }

    private sealed class ContractOf(Func<MemoryStore.Database, TimeProvider, IIdempotencyStore> open, TimeSpan patience) : StoreContractTests
    {
        private readonly FakeTimeProvider _time = new();
        private MemoryStore.Database? _database;

        protected override TimeSpan Patience => patience;

        protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => Task.FromResult(open(_database ??= new MemoryStore.Database(_time), clock));

        protected override Task WaitAsync(TimeSpan time)
        {
            _time.Advance(time);
            return Task.CompletedTask;
        }
    }
}
