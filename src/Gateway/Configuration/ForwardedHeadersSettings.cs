using System.Net;
using Idempotency.Yarp.Configuration;

namespace Gateway.Configuration;

/// <summary>Which proxies before the gateway are believed when they say whom they speak for (<c>ForwardedHeaders</c>). Read at start only.</summary>
/// <param name="TrustedNetworks">Where they are; empty for nobody.</param>
/// <param name="Hops">How many of them stand one behind the other.</param>
internal sealed record ForwardedHeadersSettings(IReadOnlyList<IPNetwork> TrustedNetworks, int Hops)
{
    private const string Expected = "a network such as 10.0.0.0/8 or fd00::/8, or an address";

    public static ForwardedHeadersSettings Read(SettingsReader reader)
    {
        var networks = reader.List<IPNetwork>("TrustedNetworks", [], TryParse, Expected);
        var hops = (int)reader.Number("Hops", 1, 1, 20, "proxies");
        if (networks.Count == 0 && hops > 1)
        {
            reader.Errors.Warn(reader.PathOf("Hops"), "does nothing without TrustedNetworks");
        }

        foreach (var everybody in networks.Where(network => network.PrefixLength == 0))
        {
            reader.Errors.Warn(reader.PathOf("TrustedNetworks"), $"{everybody}: every client is believed, and may give itself any address and scheme");
        }

        reader.RejectUnknown();
        return new ForwardedHeadersSettings(networks, hops);
    }

    public override string ToString() => $"{string.Join(' ', TrustedNetworks)} {Hops}";

    private static bool TryParse(string text, out IPNetwork network)
    {
        if (IPAddress.TryParse(text, out var address))
        {
            network = new IPNetwork(address, address.GetAddressBytes().Length * 8);
            return true;
        }

        return IPNetwork.TryParse(text, out network);
    }
}
