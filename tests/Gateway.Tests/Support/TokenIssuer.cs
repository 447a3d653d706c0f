using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Gateway.Tests.Support;

/// <summary>Issues real signed tokens, with keys of its own: one RSA and one elliptic curve key, as after a rotation.</summary>
public sealed class TokenIssuer : IDisposable
{
    public const string Issuer = "https://login.example/";
    public const string Audience = "orders";

    private static readonly JsonWebTokenHandler Handler = new() { SetDefaultTimesOnTokenCreation = false };

    private readonly RSA _rsa = RSA.Create(2048);
    private readonly ECDsa _curve = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    /// <summary>The public keys as a JSON Web Key Set.</summary>
    public string KeySet
    {
        get
        {
            var rsa = _rsa.ExportParameters(includePrivateParameters: false);
            var curve = _curve.ExportParameters(includePrivateParameters: false);
            object[] keys =
            [
                new { kty = "RSA", use = "sig", kid = "rsa", n = Base64UrlEncoder.Encode(rsa.Modulus), e = Base64UrlEncoder.Encode(rsa.Exponent) },
                new { kty = "EC", use = "sig", kid = "curve", crv = "P-256", x = Base64UrlEncoder.Encode(curve.Q.X), y = Base64UrlEncoder.Encode(curve.Q.Y) },
            ];
            return JsonSerializer.Serialize(new { keys });
        }
    }

    /// <summary>The section <c>Authentication:Jwt</c> for a gateway process that trusts this issuer.</summary>
    public static Dictionary<string, string> Environment(string keysFile) => new()
    {
        ["Authentication__Jwt__Issuer"] = Issuer,
        ["Authentication__Jwt__Audience"] = Audience,
        ["Authentication__Jwt__KeysFile"] = keysFile,
    };

    /// <summary>The value of Authorization with a token that no other call returns.</summary>
    /// <param name="claims">Beside issuer, audience, times and a number of its own.</param>
    public string Bearer(
        Dictionary<string, object> claims, string issuer = Issuer, string audience = Audience, TimeSpan? expiresIn = null, bool withCurve = false)
    {
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        var expires = now + (expiresIn ?? TimeSpan.FromMinutes(5));
        return "Bearer " + Handler.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer,
            Audience = audience,
            NotBefore = now.AddHours(-1),
            Expires = expires,
            Claims = new Dictionary<string, object>(claims) { ["jti"] = Guid.NewGuid().ToString() },
            SigningCredentials = withCurve
                ? new(new ECDsaSecurityKey(_curve) { KeyId = "curve" }, SecurityAlgorithms.EcdsaSha256)
                : new(new RsaSecurityKey(_rsa) { KeyId = "rsa" }, SecurityAlgorithms.RsaSha256),
        });
    }

    /// <summary>The value of Authorization with a token that takes the public RSA key for a shared secret: a forgery that weak validators accept.</summary>
    /// <param name="payload">Of a good token, in Base64URL.</param>
    public string BearerSignedWithPublicKey(string payload)
    {
        var text = $"{Base64UrlEncoder.Encode("""{"alg":"HS256","typ":"JWT","kid":"rsa"}""")}.{payload}";
        var signature = HMACSHA256.HashData(Encoding.ASCII.GetBytes(_rsa.ExportRSAPublicKeyPem()), Encoding.ASCII.GetBytes(text));
        return $"Bearer {text}.{Base64UrlEncoder.Encode(signature)}";
    }

    public void Dispose()
    {
        _rsa.Dispose();
        _curve.Dispose();
    }
}
