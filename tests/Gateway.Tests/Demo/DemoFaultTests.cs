using System.Data.Common;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using DemoBackend;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Demo;

/// <summary>The demo backend must fail exactly as asked, and refuse what it cannot use.</summary>
public sealed class DemoFaultTests() : DemoBackendTest(DatabaseKind.Sqlite)
{
    static readonly HttpClient Client = KeyedRequests.NewClient();

    [Theory]
    [InlineData("before", 0)]
    [InlineData("after", 1)]
    public async Task A_lost_connection_gives_no_answer_whether_it_executed_or_not(string fault, int executed)
    {
        await Assert.ThrowsAsync<HttpRequestException>(() => Demo.PostAsync("/cart/items", new { sku = "book" }, null, ("X-Demo-Fail", fault)));

        Assert.Equal(executed, await Demo.CountAsync("cart", "items"));
    }

    [Fact]
    public async Task Half_an_answer_executes_and_breaks_off_inside_the_body()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Demo.Url + "/cart/items") { Content = JsonContent.Create(new { sku = "book" }) };
        request.Headers.Add("X-Demo-Fail", "half");
        using var answer = await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var body = new MemoryStream();
        var cut = await Assert.ThrowsAnyAsync<Exception>(() => answer.Content.CopyToAsync(body));

        Assert.Equal(1, await Demo.CountAsync("cart", "items"));
        Assert.True(cut is HttpRequestException or IOException, cut.ToString());
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        Assert.Equal(34, answer.Content.Headers.ContentLength);
        Assert.InRange(body.Length, 0, 17);
    }

    [Theory]
    [InlineData("500", 500)]
    [InlineData("503", 503)]
    public async Task An_error_status_is_answered_without_executing(string fault, int expected)
    {
        var answer = await Demo.PostAsync("/cart/items", new { sku = "book" }, null, ("X-Demo-Fail", fault));

        Assert.Equal(0, await Demo.CountAsync("cart", "items"));
        Assert.Equal(expected, answer.Status);
    }

    [Fact]
    public async Task A_delay_is_waited_for_before_the_answer()
    {
        var started = Stopwatch.GetTimestamp();
        await Demo.PostAsync("/cart/items", new { sku = "book" }, null, ("X-Demo-Delay", "250"));

        Assert.Equal(1, await Demo.CountAsync("cart", "items"));
        Assert.True(Stopwatch.GetElapsedTime(started) >= TimeSpan.FromMilliseconds(245));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_that_the_client_gave_up_is_executed_all_the_same(bool reset)
    {
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, new Uri(Demo.Url).Port);
            client.LingerState = new LingerOption(reset, 0);
            await client.GetStream().WriteAsync(
                "POST /cart/items HTTP/1.1\r\nHost: demo\r\nX-Demo-Delay: 2000\r\nContent-Length: 14\r\n\r\n{\"sku\":\"book\"}"u8.ToArray());

            // There is nothing to wait for that tells that the request has arrived: the answer only comes after the client has gone.
            await Task.Delay(1000);
        }

        await Eventually.TrueAsync(async () => await Demo.CountAsync("cart", "items") == 1, "the request is executed");
    }

    [Theory]
    [InlineData("X-Demo-Fail", "sideways", "X-Demo-Fail must be one of before, after, half, 500, 503.")]
    [InlineData("X-Demo-Delay", "soon", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    [InlineData("X-Demo-Delay", "-1", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    [InlineData("X-Demo-Delay", "600001", "X-Demo-Delay must be a whole number of milliseconds from 0 to 600000.")]
    public async Task A_wrong_fault_is_refused_with_what_was_expected(string header, string value, string expected)
    {
        var answer = await Demo.PostAsync("/cart/items", new { sku = "book" }, null, (header, value));

        Assert.Equal(0, await Demo.CountAsync("cart", "items"));
        Assert.Equal((400, expected), (answer.Status, Detail(answer)));
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
    [InlineData("/api/users", """{"name":"Ann"}""", "email is missing or wrong: an address such as ann@example.org.")]
    [InlineData("/api/users", """{"email":"ann","name":"Ann"}""", "email is missing or wrong: an address such as ann@example.org.")]
    [InlineData("/api/users", """{"email":"a nn@example.org","name":"Ann"}""", "email is missing or wrong: an address such as ann@example.org.")]
    [InlineData("/api/users", """{"email":"ann@example.org"}""", "name is missing: what the user is called.")]
    [InlineData("/api/users", "nonsense", """The body must be JSON such as {"email":"ann@example.org","name":"Ann"}; it is wrong at $, line 1.""")]
    [InlineData("/accounts", "", """The body is missing: JSON such as {"reference":"A-1","owner":"Ann","deposit":100}.""")]
    [InlineData("/accounts", """{"owner":"Ann","deposit":100}""", "reference is missing: the client's name for the account.")]
    [InlineData("/accounts", """{"reference":"A-1","deposit":100}""", "owner is missing: whose account it is.")]
    [InlineData("/accounts", """{"reference":"A-1","owner":"Ann"}""", "deposit is 0: it must be 1 or more.")]
    [InlineData("/legacy/accounts", """{"reference":"A-1","owner":"Ann","deposit":-1}""", "deposit is -1: it must be 1 or more.")]
    public async Task Bad_input_is_refused_with_what_is_wrong(string path, string body, string expected)
    {
        var before = (await Demo.GetAsync("/stats")).Text;
        var answer = await Demo.PostAsync(path, body, "key");

        Assert.Equal(before, (await Demo.GetAsync("/stats")).Text);
        Assert.Equal((400, expected), (answer.Status, Detail(answer)));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("two words")]
    public async Task An_account_without_a_proper_key_is_refused(string? key)
    {
        var answer = await Demo.PostAsync("/accounts", new { reference = "A-1", owner = "Ann", deposit = 100 }, key);

        Assert.Equal(AccountCounts.None, await Demo.CountAccountsAsync());
        Assert.Equal((400, "Idempotency-Key is missing or wrong: one line of 1 to 255 visible characters."), (answer.Status, Detail(answer)));
    }

    [Fact]
    public void A_database_that_cannot_be_had_is_named()
    {
        var nowhere = LoopbackPorts.Reserve();
        var unknown = Assert.Throws<ArgumentException>(() => DemoBackendApp.Build(["--database", "postgres"]));
        var away = Assert.ThrowsAny<DbException>(
            () => DemoBackendApp.Build(["--database", "postgres", "--connection", $"Host=127.0.0.1;Port={nowhere};Username=demo"]));

        Assert.Equal("--database postgres wants --connection, such as \"Host=127.0.0.1;Database=demo\".", unknown.Message);
        Assert.Equal($"Failed to connect to 127.0.0.1:{nowhere}", away.Message);
    }

    static string? Detail(Answer answer) => answer.Problem?.GetProperty("detail").GetString();
}
