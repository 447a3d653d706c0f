namespace Gateway.Tests.Faults;

/// <summary>
/// Requests that a gateway must refuse, because it and the backend could read them differently, and odd ones that it must let pass
/// unharmed. By what is odd: framing, header lines, the key, the request line.
/// </summary>
internal static class BadInputs
{
    public static IReadOnlyDictionary<string, BadInput> All { get; } =
        ((BadInput[])[.. Framing(), .. Chunks(), .. Lines(), .. Keys(), .. Starts(), .. NotHttp()]).ToDictionary(input => input.Name);

    private static IEnumerable<BadInput> Framing()
    {
        const string Chunked = "2\r\n{}\r\n0\r\n\r\n";
        yield return BadInput.WithFraming("B1 length and chunked", 400, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B1 chunked and length", 400, "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", Chunked);
        yield return BadInput.WithFraming("B5 unknown coding", 400, "Transfer-Encoding: blegh\r\n", "{}");
        yield return BadInput.WithFraming("B5 two codings", 501, "Transfer-Encoding: gzip, chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B5 two codings in two lines", 501, "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B5 identity before chunked", 501, "Transfer-Encoding: identity, chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B5 chunked twice", 400, "Transfer-Encoding: chunked, chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B5 chunked not last", 400, "Transfer-Encoding: chunked, gzip\r\n", Chunked);
        yield return BadInput.WithFraming("B5 chunked in two lines", 400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Chunked);
        yield return new BadInput("B5 chunked in HTTP/1.0", 400, $"POST PATH HTTP/1.0\r\nHost: HOST\r\nIdempotency-Key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n{Chunked}");
        foreach (var length in (string[])["-2", "2, 2", "0x2", "2.0", "2;", "", "\u0662"])
        {
            yield return BadInput.WithFraming($"B2 length {Uri.EscapeDataString(length)}", 400, $"Content-Length: {length}\r\n", "{}");
        }

        // Kestrel reads a sign, and nothing above it can see that; what goes out is 2.
        yield return BadInput.WithFraming("B2 length with a sign", 201, "Content-Length: +2\r\n", "{}", arrivals: 1);
        yield return BadInput.WithFraming("B6 coding after a no-break space", 400, "Transfer-Encoding: \u00a0chunked\r\n", Chunked);
        yield return BadInput.WithFraming("B8 two lengths", 400, "Content-Length: 2\r\nContent-Length: 3\r\n", "{}");
        yield return BadInput.WithFraming("B9 the same length twice", 400, "Content-Length: 2\r\nContent-Length: 2\r\n", "{}");
        yield return BadInput.WithFraming("B9 a list of lengths", 400, "Content-Length: 2, 2\r\n", "{}");
        yield return BadInput.WithFraming("B11 leading zero", 201, "Content-Length: 02\r\n", "{}", arrivals: 1);
        foreach (var length in (string[])["0x1", "1_0", "1Z", "-1", "", "18446744073709551616"])
        {
            yield return BadInput.WithFraming($"B12 length '{length}'", 400, $"Content-Length: {length}\r\n", "{}");
        }

        yield return BadInput.WithFraming("B13 length of 100 GB", 413, "Content-Length: 99999999999\r\n", "{}");
        yield return BadInput.WithFraming("B14 blank before the colon", 400, "Content-Length : 2\r\n", "{}");
        yield return BadInput.WithFraming("B15 no framing at all", 201, "", "", arrivals: 1);
        yield return BadInput.WithFraming("B89 length over the policy's limit", 413, "Content-Length: 1048577\r\n", "{}");
    }

    private static IEnumerable<BadInput> Chunks()
    {
        foreach (var size in (string[])["0x1", "+1", " 1", "0_2e", "", "g", "FFFFFFFFFFFFFFFFF"])
        {
            yield return BadInput.WithChunks($"B16 chunk size '{size}'", 400, $"{size}\r\n!\r\n0\r\n\r\n");
        }

        yield return BadInput.WithChunks("B17 chunk size ended by LF", 400, "2\n{}\r\n0\r\n\r\n");
        yield return BadInput.WithChunks("B17 chunk data ended by LF", 400, "2\r\n{}\n0\r\n\r\n");
        yield return BadInput.WithChunks("B17 last chunk ended by LF", 400, "2\r\n{}\r\n0\n\r\n");
        yield return BadInput.WithChunks("B18 chunk extension ended by LF", 400, "2;a\n{}\r\n0\r\n\r\n");
        yield return BadInput.WithChunks("B19 chunk extension with CR", 400, "2;a\rb\r\n{}\r\n0\r\n\r\n");
        yield return BadInput.WithChunks("B20 chunk extension", 201, "2;a=b\r\n{}\r\n0\r\n\r\n", arrivals: 1);
        yield return BadInput.WithChunks("B21 chunk longer than its size", 400, "2\r\n{}}\r\n0\r\n\r\n");
    }

    private static IEnumerable<BadInput> Lines()
    {
        yield return BadInput.WithLines("B26 line ended by LF", 400, "X-Odd: a\n");
        yield return BadInput.WithLines("B27 folded line", 400, "X-Odd: a\r\n b\r\n");
        yield return BadInput.WithLines("B28 NUL", 400, "X-Odd: a\0b\r\n");
        yield return BadInput.WithLines("B29 bare CR", 400, "X-Odd: a\rb\r\n");
        yield return BadInput.WithLines("B30 control character", 400, "X-Odd: a\u0001b\r\n");
        yield return BadInput.WithLines("B31 DEL", 400, "X-Odd: a\u007fb\r\n");
        yield return BadInput.WithLines("B33 UTF-8", 201, "X-Odd: caf\u00c3\u00a9\r\n", arrivals: 1);
        yield return BadInput.WithLines("B46 101 lines", 431, string.Concat(Enumerable.Range(0, 101).Select(number => $"X-{number}: a\r\n")));
        foreach (var name in (string[])["Idempotency_Key", "Idempotency_Attempt", "Idempotent_Replayed", "Idempotency_Status", "X_HTTP_Method_Override", "X-HTTP_Method-Override", "Content_Type", "Content_Length", "Transfer_Encoding", "X_Forwarded_For", "X_Api_Key", "If_Match"])
        {
            yield return BadInput.WithLines($"B48 {name} with an underscore", 400, $"{name}: other\r\n");
        }

        yield return BadInput.WithLines("B48 a field of nobody's with an underscore", 201, "X_Other: other\r\n", arrivals: 1);
        foreach (var name in (string[])["Idempotency-Key", "Authorization", "X-Odd, authorization", "Host", "Content-Type", "Content-Length"])
        {
            yield return BadInput.WithLines($"B52 Connection names {name}", 400, $"Connection: {name}\r\n");
        }

        yield return BadInput.WithLines("B72 unknown expectation", 417, "Expect: blah\r\n");
        yield return BadInput.WithFraming("B73 upgrade", 501, "Connection: Upgrade\r\nUpgrade: websocket\r\n", "");
        yield return BadInput.WithLines("B74 upgrade to h2c", 201, "Connection: Upgrade\r\nUpgrade: h2c\r\n", arrivals: 1);
        yield return BadInput.WithLines("B75 gzip that is none", 201, "Content-Encoding: gzip\r\n", arrivals: 1);
        yield return BadInput.WithLines("B81 line without a name", 400, ": a\r\n");
        yield return BadInput.WithLines("B81 line without a colon", 400, "X-Odd\r\n");
    }

    private static IEnumerable<BadInput> Keys()
    {
        foreach (var key in (string[])
            ["a\u0001b", "\"a\u0001b\"", "a\u007fb", "\"a\u007fb\"", "a\tb", "\"a\tb\"", "\"caf\u00c3\u00a9\"", "caf\u00e9", "\"\u00ff\"",
             "", "\"\"", "\"   \"", "'single'", "\"unbalanced", "\"a\\,\"", "\"a\\", "\"k\";a=1", "k;a=1", ":aGk=:", "?1", "@1", "%\"x\"", "a/b", "(a)",
             "\"a\", \"b\"", "a,b"])
        {
            yield return BadInput.WithKeyLines($"B30-B43 key {Uri.EscapeDataString(key)}", 400, $"Idempotency-Key: {key}\r\n");
        }

        yield return BadInput.WithKeyLines("B35 two keys", 400, "Idempotency-Key: \"KEY\"\r\nIdempotency-Key: \"other\"\r\n");
        yield return BadInput.WithKeyLines("B35 the same key twice", 400, "Idempotency-Key: KEY\r\nIdempotency-Key: KEY\r\n");
        yield return BadInput.WithKeyLines("B40 bare key", 201, "Idempotency-Key: KEY\r\n", arrivals: 1);
        yield return BadInput.WithKeyLines("B44 key of 8 KB", 400, $"Idempotency-Key: {new string('k', 8 * 1024)}\r\n");
        yield return BadInput.WithKeyLines("B45 key of 40 KB", 431, $"Idempotency-Key: {new string('k', 40 * 1024)}\r\n");
        yield return BadInput.WithKeyLines("B47 name in other case", 201, "iDEMPOTENCY-kEY: \"KEY\"\r\n", arrivals: 1);
        yield return BadInput.WithKeyLines("B50 blanks around the key", 201, "Idempotency-Key: \t \"KEY\" \t\r\n", arrivals: 1);
        yield return BadInput.WithKeyLines("no key", 400, "");
    }

    private static IEnumerable<BadInput> Starts()
    {
        yield return BadInput.WithStart("B51 key in the query only", 201, "POST PATH?idempotency_key=other HTTP/1.1\r\nHost: HOST\r\n", arrivals: 1);
        yield return new BadInput("B51 key nowhere but in the query", 400, "POST PATH?idempotency_key=KEY HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\n{}");
        yield return BadInput.WithStart("B54 no host", 400, "POST PATH HTTP/1.1\r\n");
        yield return BadInput.WithStart("B54 two hosts", 400, "POST PATH HTTP/1.1\r\nHost: HOST\r\nHost: other.example\r\n");
        yield return BadInput.WithStart("B54 host that is none", 400, "POST PATH HTTP/1.1\r\nHost: a/b@c\r\n");
        yield return BadInput.WithStart("B54 target of another host", 400, "POST http://other.example/PATH HTTP/1.1\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B55 HTTP/1.2", 505, "POST PATH HTTP/1.2\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B56 method in lower case", 201, "post PATH HTTP/1.1\r\nHost: HOST\r\n", arrivals: 1);
        yield return BadInput.WithStart("B58 CONNECT", 405, "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B59 TRACE", 405, "TRACE PATH HTTP/1.1\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B61 GET with a body", 201, "GET PATH HTTP/1.1\r\nHost: HOST\r\n", arrivals: 1);
        yield return BadInput.WithStart("B62 PUT, which the policy does not name", 201, "PUT PATH HTTP/1.1\r\nHost: HOST\r\n", arrivals: 1);
        yield return BadInput.WithStart("B66 NUL in the path", 400, "POST PATH%00 HTTP/1.1\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B66 UTF-8 in the path", 400, "POST PATH\u00c3\u00a9 HTTP/1.1\r\nHost: HOST\r\n");
        yield return BadInput.WithStart("B67 line end in the query", 201, "POST PATH?x=%0d%0aX-Injected:1 HTTP/1.1\r\nHost: HOST\r\n", arrivals: 1);
    }

    private static IEnumerable<BadInput> NotHttp()
    {
        yield return new BadInput("B79 TLS on the plain port", 400, "\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003" + new string('\u0011', 64));
    }
}
