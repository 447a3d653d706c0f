using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// What a key is used for (draft-ietf-httpapi-idempotency-key-header-07, section 2.4): method and target, the host where it decides something, the
/// body, the policy's header fields, and those fields that change what a request means, wherever they come from; all in normal form.
/// <code>
///   0        1                          17                         33
///   +--------+--------------------------+--------------------------+
///   | version| first 16 bytes of the    | eight tags of 2 bytes,   |
///   | = 3    | HMAC-SHA256 of all parts | each of a part           |
///   +--------+--------------------------+--------------------------+
/// </code>
/// The HMAC is keyed with the store's secret and has the record's id in it, so that whoever reads the store can neither try bodies nor see which
/// records are alike. The tags tell which part differs; they are hidden by a pad that only the secret and the id make.
/// </summary>
internal sealed class RequestFingerprint
{
    /// <summary>
    /// The algorithm; part of every record. A change of what is hashed is a new version, and older ones stay (<see cref="OlderFingerprint"/>).
    /// </summary>
    public const byte Version = 3;

    private const int MacSize = 16;
    private const int Tags = 8;

    /// <summary>The place of a tag that all parts share which have none of their own.</summary>
    private const int Shared = Tags - 1;

    /// <summary>Always part of the fingerprint: preconditions, ranges, content coding and method overrides.</summary>
    public static readonly IReadOnlyList<string> AlwaysHashed =
    [
        "Content-Encoding", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
    ];

    private readonly HttpContext _context;
    private readonly IdempotencyPolicy _policy;
    private readonly RequestBody _body;
    private readonly RequestContent? _content;
    private readonly ProbeQuestion? _question;
    private readonly List<Part> _parts;

    private RequestFingerprint(
        HttpContext context, IdempotencyPolicy policy, RequestBody body, RequestContent? content, ProbeQuestion? question, List<Part> parts, Fingerprint value)
    {
        (_context, _policy, _body, _content, _question, _parts, Value) = (context, policy, body, content, question, parts, value);
    }

    /// <param name="Name">For people.</param>
    /// <param name="Tag">Of its value.</param>
    /// <param name="Place">Of its tag.</param>
    private readonly record struct Part(string Name, ushort Tag, int Place);

    /// <summary>What a new record gets.</summary>
    public Fingerprint Value { get; }

    /// <summary>Whether this release can compare a fingerprint of that version.</summary>
    public static bool Knows(byte version) => version == Version || OlderFingerprint.Knows(version);

    /// <param name="context">The request.</param>
    /// <param name="policy">What counts.</param>
    /// <param name="body">Read to its end, and set back; must live as long as the instance.</param>
    /// <param name="content">The parsed body, when the policy looks into bodies.</param>
    /// <param name="question">What a probe would ask about it; null without.</param>
    /// <param name="id">The record.</param>
    /// <param name="secret">That record ids are made with.</param>
    public static async ValueTask<RequestFingerprint> CreateAsync(
        HttpContext context, IdempotencyPolicy policy, RequestBody body, RequestContent? content, ProbeQuestion? question, RecordId id, byte[] secret)
    {
        var meaning = await FingerprintedBody.ReadAsync(context.Request.ContentType, policy, body, content);
        return Create(context, policy, body, content, question, id, secret, meaning);
    }

    /// <summary>Whether the record was made by the same request, by whatever release.</summary>
    public async ValueTask<bool> IsSameAsync(Fingerprint recorded) =>
        recorded == Value
        || (OlderFingerprint.Knows(recorded.Version)
            && await OlderFingerprint.ComputeAsync(_context, _policy, _body, _content, _question, recorded.Version) == recorded);

    /// <summary>
    /// The parts that differ: <c>body</c>, <c>host</c>, <c>header Content-Type</c>; never values. Empty where that is not known: a record of an older
    /// release, or (one in 65,536) a tag that fits by chance.
    /// </summary>
    public IReadOnlyList<string> DifferencesFrom(Fingerprint recorded)
    {
        if (recorded.Version != Version)
        {
            return [];
        }

        List<string> found = [];
        for (var place = 0; place < Tags; place++)
        {
            var difference = TagOf(Value, place) ^ TagOf(recorded, place);
            if (difference != 0)
            {
                found.AddRange(NamesOf(place, (ushort)difference));
            }
        }

        return found;
    }

    private IEnumerable<string> NamesOf(int place, ushort difference)
    {
        var here = _parts.Where(part => part.Place == place).ToList();
        if (place != Shared)
        {
            return here.Select(part => part.Name);
        }

        // The difference is the sum of the tags of both requests here: these are new when it is theirs, as the recorded request had none then.
        here.RemoveAll(part => part.Tag == 0); // a field that is not there
        return here.Count == 0 ? ["a header field that is missing now"]
            : here.Aggregate(0, (sum, part) => sum ^ part.Tag) == difference ? here.Select(part => part.Name)
            : here.Count == 1 ? [here[0].Name + ", or one that is missing now"]
            : ["another header field"];
    }

    private static ushort TagOf(Fingerprint fingerprint, int place)
    {
        Span<byte> bytes = stackalloc byte[Digest.Size];
        fingerprint.Digest.WriteTo(bytes);
        return BinaryPrimitives.ReadUInt16BigEndian(bytes[(MacSize + (2 * place))..]);
    }

    private static RequestFingerprint Create(
        HttpContext context, IdempotencyPolicy policy, RequestBody body, RequestContent? content, ProbeQuestion? question, RecordId id, byte[] secret, FingerprintedBody meaning)
    {
        var hash = new FieldHash(stackalloc byte[512]);
        List<Part> parts = [];
        hash.Add("fingerprint\0"); // no policy has that name
        hash.Add(id.Digest);
        Add(ref hash, "method", context.Request.Method.ToUpperInvariant());
        var (path, query) = NormalForm.OfTarget(RequestTarget.Of(context));
        Add(ref hash, "path", path);
        Add(ref hash, "query", query);
        if (policy.FingerprintBody != FingerprintBody.None)
        {
            hash.Add("body");
            hash.Add((int)meaning.Kind);
            hash.Add(meaning.Digest);
            parts.Add(new Part("body", (ushort)meaning.Digest.A, parts.Count));
        }

        if (policy.FingerprintHost)
        {
            Add(ref hash, "host", NormalForm.OfHost(context.Request));
        }

        foreach (var name in policy.FingerprintHeaders)
        {
            Add(ref hash, $"header {name}", NormalForm.OfHeader(name, context.Request.Headers[name], meaning.IsWithoutBoundary));
        }

        foreach (var name in AlwaysHashed)
        {
            if (context.Request.Headers[name] is { Count: > 0 } values)
            {
                Add(ref hash, $"header {name}", NormalForm.OfHeader(name, values, isWithoutBoundary: false), isShared: true);
            }
        }

        if (question is not null)
        {
            // A retry that would ask about something else is another request.
            hash.Add(question.Request.Target);
            foreach (var (field, (_, value)) in policy.Probe!.Headers.Zip(question.Request.Headers))
            {
                if (field.Value.Parts.Any(part => part.Literal is null))
                {
                    hash.Add(field.Key);
                    hash.Add(value);
                }
            }
        }

        return new RequestFingerprint(context, policy, body, content, question, parts, new Fingerprint(Version, Finish(ref hash, parts, id, secret)));

        void Add(ref FieldHash hash, string name, string? value, bool isShared = false)
        {
            hash.Add(name.ToUpperInvariant());
            hash.Add(value is null ? 0 : 1);
            hash.Add(value);
            var place = isShared ? Shared : Math.Min(parts.Count, Shared);
            parts.Add(new Part(name, value is null ? (ushort)0 : TagOf(place == Shared ? $"{name.ToUpperInvariant()}\n{value}" : value), place));
        }
    }

    private static ushort TagOf(string text) => (ushort)Crc32.HashToUInt32(MemoryMarshal.AsBytes(text.AsSpan()));

    private static Digest Finish(ref FieldHash hash, List<Part> parts, RecordId id, byte[] secret)
    {
        Span<byte> value = stackalloc byte[Digest.Size];
        hash.HmacSha256(secret).WriteTo(value);
        var pad = new FieldHash(stackalloc byte[64]);
        pad.Add("parts\0"); // no policy has that name
        pad.Add(id.Digest);
        Span<byte> tags = stackalloc byte[Digest.Size];
        pad.HmacSha256(secret).WriteTo(tags);
        foreach (var part in parts)
        {
            var tag = tags[(2 * part.Place)..];
            BinaryPrimitives.WriteUInt16BigEndian(tag, (ushort)(BinaryPrimitives.ReadUInt16BigEndian(tag) ^ part.Tag));
        }

        tags[..(2 * Tags)].CopyTo(value[MacSize..]);
        return Digest.From(value);
    }
}
