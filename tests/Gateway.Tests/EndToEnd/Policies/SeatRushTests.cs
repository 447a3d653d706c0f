using System.Collections.Concurrent;
using System.Security.Cryptography;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// A hundred users book ten seats over three gateways, which are killed and started again all the while. Promised is this: a seat's
/// bookings never overlap in the backend, as long as the backend is done with a request before the lease of its lock is over. It is here: a
/// booking takes up to 300 ms, and of the lease of 2 s at least 0.8 s are left at any time, because it is renewed when a third is over, and
/// looked at every half second.
/// </summary>
public abstract class SeatRushTests(PolicyGateways gateways, ITestOutputHelper output)
{
    private const int Users = 100;
    private const int Seats = 10;
    private const int Kills = 6;
    private static readonly TimeSpan LongestBooking = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    private readonly ConcurrentDictionary<string, int> _inside = new();
    private readonly ConcurrentQueue<string> _overlaps = new();
    private int _booked;

    [StoreFact]
    public async Task ASeat_IsNeverBookedTwiceAtATime_WhateverDies()
    {
        var rush = Guid.NewGuid().ToString("N");
        var seats = Enumerable.Range(0, Seats).Select(seat => $"/queue/{rush}-{seat}").ToList();
        seats.ForEach(seat => gateways.AnswerAt(seat, BookAsync));

        using var over = new CancellationTokenSource();
        var users = Task.WhenAll(Enumerable.Range(0, Users).Select(user => UseAsync(seats[user % Seats], over.Token)));
        var cut = 0;
        for (var kill = 0; kill < Kills; kill++)
        {
            await gateways.Backend.WaitForArrivalsAsync(gateways.Backend.Ledger.Count + Seats);
            var victim = gateways.Gateways[RandomNumberGenerator.GetInt32(gateways.Gateways.Count)];
            cut += _inside.Values.Sum();
            await victim.KillAsync();
            await victim.StartAgainAsync();
        }

        await over.CancelAsync();
        await users;
        output.WriteLine($"{_booked} bookings, {gateways.Backend.Ledger.Count} arrivals, {Kills} gateways killed while {cut} bookings ran");

        Assert.Empty(_overlaps);
        Assert.All(seats, seat => Assert.True(gateways.ArrivalsAt(seat).Count >= Kills, "every seat was booked again and again"));
        await AssertAllFreeAsync(seats);
    }

    /// <summary>The dead have left nothing locked for longer than their lease.</summary>
    private async Task AssertAllFreeAsync(List<string> seats)
    {
        var answers = await Task.WhenAll(seats.Select(seat => gateways.PostAsync(gateways.First, seat, EmbeddedGateway.NewKey())));
        Assert.All(answers, answer => Assert.Equal(201, answer.Status));
    }

    private async Task BookAsync(HttpContext context)
    {
        var seat = context.Request.Path.Value!;
        if (_inside.AddOrUpdate(seat, 1, (_, count) => count + 1) > 1)
        {
            _overlaps.Enqueue(seat);
        }

        await Task.Delay(LongestBooking * RandomNumberGenerator.GetInt32(100) / 100, CancellationToken.None); // a legacy backend goes on when its caller dies
        _inside.AddOrUpdate(seat, 0, (_, count) => count - 1);
        await gateways.Backend.AnswerCreatedAsync(context);
    }

    /// <summary>One user, who books the same seat with a new key again and again, and turns to another gateway when one is gone.</summary>
    private async Task UseAsync(string seat, CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            try
            {
                var answer = await gateways.PostAsync(gateways.Gateways[RandomNumberGenerator.GetInt32(gateways.Gateways.Count)], seat, EmbeddedGateway.NewKey());
                Assert.Contains(answer.Status, (int[])[201, 409, 503]);
                if (answer.Status == 201)
                {
                    Interlocked.Increment(ref _booked);
                }
            }
            catch (HttpRequestException)
            {
                // Killed: nobody knows whether the seat is booked. The user comes back with another key, as nobody should.
            }

            await Task.Delay(Pause, CancellationToken.None);
        }
    }
}

[OnRedis]
[Collection(LoadCollection.Name)]
public sealed class RedisSeatRushTests(RedisCrowdGateways gateways, ITestOutputHelper output)
    : SeatRushTests(gateways, output), IClassFixture<RedisCrowdGateways>;

[OnPostgres]
[Collection(LoadCollection.Name)]
public sealed class PostgresSeatRushTests(PostgresCrowdGateways gateways, ITestOutputHelper output)
    : SeatRushTests(gateways, output), IClassFixture<PostgresCrowdGateways>;
