using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using DemoBackend;
using Microsoft.AspNetCore.Builder;
using Xunit;

namespace Gateway.Tests.Demo;

/// <summary>
/// The demo backend must stay as careless as the legacy systems it stands for, and fail exactly as asked: a backend that is accidentally
/// idempotent would let a broken gateway pass every end-to-end test.
/// </summary>
public sealed class DemoBackendTests : IAsyncLifetime
{
    // Far longer than 20 parallel requests need to arrive, so that they are all between look-up and insert at the same time.
    const string RoundTripMilliseconds = "300";

    static readonly HttpClient Client = new(new SocketsHttpHandler { AllowAutoRedirect = false });

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("demo-backend-");
    WebApplication _app = null!;

    public Task InitializeAsync() => StartAsync();

    public async Task DisposeAsync()
    {
        await _app.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Every_cart_call_makes_a_row_even_when_identical()
    {
        using var first = await PostAsync("/cart/items", new { sku = "book", quantity = 2 });
        using var second = await PostAsync("/cart/items", new { sku = "book", quantity = 2 });

        Assert.Equal(2, await CountAsync("cart", "items"));
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (first.StatusCode, second.StatusCode));
        Assert.Equal("/cart/items/1", first.Headers.Location?.OriginalString);
        Assert.Equal("""{"id":2,"sku":"book","quantity":2}""", await second.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_cart_call_without_a_body_adds_the_default_item()
    {
        using var answer = await Client.PostAsync(Url("/cart/items"), null);

        Assert.Equal(1, await CountAsync("cart", "items"));
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        Assert.Contains("default-item", await Client.GetStringAsync(Url("/cart/items/1")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_hundred_parallel_cart_calls_all_succeed()
    {
        var statuses = await InParallelAsync(200, "/cart/items", _ => new { sku = "book" });

        Assert.Equal(200, await CountAsync("cart", "items"));
        Assert.All(statuses, status => Assert.Equal(HttpStatusCode.Created, status));
    }

    [Fact]
    public async Task Parallel_calls_shorten_one_url_more_than_once()
    {
        await InParallelAsync(20, "/urls", _ => new { longUrl = "https://example.org/path" });

        Assert.InRange(await CountAsync("urls", "entries"), 2, 20);
        Assert.Equal(await CountAsync("urls", "entries") - 1, await CountAsync("urls", "duplicates"));
    }

    [Fact]
    public async Task Calls_one_after_the_other_shorten_one_url_once()
    {
        using var first = await PostAsync("/urls", new { longUrl = "https://example.org/path" });
        using var second = await PostAsync("/urls", new { longUrl = "https://example.org/path" });

        Assert.Equal(1, await CountAsync("urls", "entries"));
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.OK), (first.StatusCode, second.StatusCode));
        Assert.Equal(await first.Content.ReadAsStringAsync(), await second.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_short_code_redirects_and_an_unknown_one_is_not_found()
    {
        using var created = await PostAsync("/urls", new { longUrl = "https://example.org/path?a=b" });

        using var followed = await Client.GetAsync(Url(created.Headers.Location!.OriginalString));
        using var unknown = await Client.GetAsync(Url("/no-such-code"));

        Assert.Equal(HttpStatusCode.Redirect, followed.StatusCode);
        Assert.Equal("https://example.org/path?a=b", followed.Headers.Location?.OriginalString);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    [Fact]
    public async Task Parallel_users_book_one_seat_twice_or_more()
    {
        await InParallelAsync(20, "/seats/A1/bookings", i => new { user = $"user-{i}" });

        Assert.InRange(await CountAsync("seats", "bookings"), 2, 20);
        Assert.Equal(1, await CountAsync("seats", "doubleBooked"));
    }

    [Fact]
    public async Task A_seat_whose_booking_is_seen_is_refused()
    {
        using var first = await PostAsync("/seats/A1/bookings", new { user = "ann" });
        using var second = await PostAsync("/seats/A1/bookings", new { user = "bob" });

        Assert.Equal((1, 0), (await CountAsync("seats", "bookings"), await CountAsync("seats", "doubleBooked")));
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Conflict), (first.StatusCode, second.StatusCode));
        Assert.Equal("Seat A1 is booked by ann.", await DetailAsync(second));
    }

    [Theory]
    [InlineData("before", 0)]
    [InlineData("after", 1)]
    public async Task A_lost_connection_gives_no_answer_whether_it_executed_or_not(string fault, int executed)
    {
        await Assert.ThrowsAsync<HttpRequestException>(() => PostAsync("/cart/items", new { sku = "book" }, fault));

        Assert.Equal(executed, await CountAsync("cart", "items"));
    }

    [Fact]
    public async Task Half_an_answer_executes_and_breaks_off_inside_the_body()
    {
        using var request = Post("/cart/items", new { sku = "book" }, "half");
        using var answer = await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var body = new MemoryStream();
        var cut = await Assert.ThrowsAnyAsync<Exception>(() => answer.Content.CopyToAsync(body));

        Assert.Equal(1, await CountAsync("cart", "items"));
        Assert.True(cut is HttpRequestException or IOException, cut.ToString());
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        Assert.Equal(34, answer.Content.Headers.ContentLength);
        Assert.InRange(body.Length, 0, 17);
    }

    [Theory]
    [InlineData("500", HttpStatusCode.InternalServerError)]
    [InlineData("503", HttpStatusCode.ServiceUnavailable)]
    public async Task An_error_status_is_answered_without_executing(string fault, HttpStatusCode expected)
    {
        using var answer = await PostAsync("/cart/items", new { sku = "book" }, fault);

        Assert.Equal(0, await CountAsync("cart", "items"));
        Assert.Equal(expected, answer.StatusCode);
    }

    [Fact]
    public async Task A_delay_is_waited_for_before_the_answer()
    {
        using var request = Post("/cart/items", new { sku = "book" });
        request.Headers.Add("X-Demo-Delay", "250");
        var started = Stopwatch.GetTimestamp();
        using var answer = await Client.SendAsync(request);

        Assert.Equal(1, await CountAsync("cart", "items"));
        Assert.True(Stopwatch.GetElapsedTime(started) >= TimeSpan.FromMilliseconds(245));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_that_the_client_gave_up_is_executed_all_the_same(bool reset)
    {
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, Url("/").Port);
            client.LingerState = new LingerOption(reset, 0);
            await client.GetStream().WriteAsync(
                "POST /cart/items HTTP/1.1\r\nHost: demo\r\nX-Demo-Delay: 400\r\nContent-Length: 14\r\n\r\n{\"sku\":\"book\"}"u8.ToArray());

            // There is nothing to wait for that tells that the request has arrived: the answer only comes after the client has gone.
            await Task.Delay(200);
        }

        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (await CountAsync("cart", "items") == 0)
            await Task.Delay(20, deadline.Token);
    }

    [Theory]
    [InlineData("X-Demo-Fail", "sideways", "X-Demo-Fail must be one of before, after, half, 500, 503.")]
    [InlineData("X-Demo-Delay", "soon", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    [InlineData("X-Demo-Delay", "-1", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    [InlineData("X-Demo-Delay", "600001", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    public async Task A_wrong_fault_is_refused_with_what_was_expected(string header, string value, string expected)
    {
        using var request = Post("/cart/items", new { sku = "book" });
        request.Headers.Add(header, value);
        using var answer = await Client.SendAsync(request);

        Assert.Equal(0, await CountAsync("cart", "items"));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Equal(expected, await DetailAsync(answer));
    }

    [Theory]
    [InlineData("/cart/items", """{"sku":""", """The body must be JSON such as {"sku":"book-1","quantity":2}; it is wrong at $.sku, line 1.""")]
    [InlineData("/cart/items", "[]", """The body must be JSON such as {"sku":"book-1","quantity":2}; it is wrong at $, line 1.""")]
    [InlineData("/cart/items", "{}", "sku is missing: a text that names the article.")]
    [InlineData("/cart/items", """{"sku":"book","quantity":0}""", "quantity is 0: it must be 1 or more.")]
    [InlineData("/seats/A1/bookings", "", "user is missing: the name of who books the seat.")]
    [InlineData("/seats/A1/bookings", "nonsense", """The body must be JSON such as {"user":"ann"}; it is wrong at $, line 1.""")]
    [InlineData("/urls", "{}", "longUrl is missing or wrong: an absolute http or https URL in ASCII.")]
    [InlineData("/urls", """{"longUrl":"/relative"}""", "longUrl is missing or wrong: an absolute http or https URL in ASCII.")]
    public async Task Bad_input_is_refused_with_what_is_wrong(string path, string body, string expected)
    {
        using var answer = await Client.PostAsync(Url(path), new StringContent(body));

        Assert.Equal((0, 0, 0), (await CountAsync("cart", "items"), await CountAsync("seats", "bookings"), await CountAsync("urls", "entries")));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Equal(expected, await DetailAsync(answer));
    }

    [Fact]
    public async Task Stats_survive_a_restart_and_can_be_emptied()
    {
        using var item = await PostAsync("/cart/items", new { sku = "book" });
        using var seat = await PostAsync("/seats/A1/bookings", new { user = "ann" });
        using var url = await PostAsync("/urls", new { longUrl = "https://example.org" });

        await _app.DisposeAsync();
        await StartAsync();
        Assert.Equal(
            """{"cart":{"items":1},"seats":{"bookings":1,"doubleBooked":0},"urls":{"entries":1,"duplicates":0}}""",
            await Client.GetStringAsync(Url("/stats")));

        using var emptied = await Client.DeleteAsync(Url("/stats"));
        Assert.Equal(
            """{"cart":{"items":0},"seats":{"bookings":0,"doubleBooked":0},"urls":{"entries":0,"duplicates":0}}""",
            await Client.GetStringAsync(Url("/stats")));
    }

    async Task StartAsync()
    {
        // A folder that does not exist yet: the backend makes it.
        var database = Path.Combine(_folder.FullName, "data", "demo.db");
        _app = DemoBackendApp.Build(["--urls", "http://127.0.0.1:0", "--database", database, "--round-trip", RoundTripMilliseconds]);
        await _app.StartAsync();
    }

    Uri Url(string path) => new(new Uri(_app.Urls.Single()), path);

    HttpRequestMessage Post(string path, object body, string? fault = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, Url(path)) { Content = JsonContent.Create(body) };
        if (fault is not null)
            request.Headers.Add("X-Demo-Fail", fault);
        return request;
    }

    async Task<HttpResponseMessage> PostAsync(string path, object body, string? fault = null)
    {
        using var request = Post(path, body, fault);
        return await Client.SendAsync(request);
    }

    Task<HttpStatusCode[]> InParallelAsync(int count, string path, Func<int, object> body) =>
        Task.WhenAll(Enumerable.Range(0, count).Select(async i =>
        {
            using var answer = await PostAsync(path, body(i));
            return answer.StatusCode;
        }));

    async Task<int> CountAsync(string system, string counter)
    {
        var stats = await Client.GetFromJsonAsync<JsonElement>(Url("/stats"));
        return stats.GetProperty(system).GetProperty(counter).GetInt32();
    }

    static async Task<string?> DetailAsync(HttpResponseMessage answer)
    {
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("detail").GetString();
    }
}
