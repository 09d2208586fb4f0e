//! Trusted proxies, whose PROXY protocol header is believed: networks, or all clients of a unix socket.

use super::values::ValueError;
use crate::connection::Kind;
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `ADDRESS`, `ADDRESS/BITS` or `unix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Network { address: IpAddr, bits: u8 },
    Unix,
}

/// One or more of them, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Proxies(Vec<Proxy>);

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|proxy| match proxy {
            Proxy::Network { address, bits } => format!("{address}/{bits}"),
            Proxy::Unix => "unix".to_owned(),
        });
        f.write_str(&names.collect::<Vec<_>>().join(" "))
    }
}

impl Proxies {
    pub(crate) fn join(all: Vec<Proxies>) -> Proxies {
        Proxies(all.into_iter().flat_map(|proxies| proxies.0).collect())
    }

    /// Whether a connection of this kind must begin with a header.
    pub(crate) fn name(&self, kind: Kind) -> bool {
        self.0.iter().any(|proxy| match (proxy, kind) {
            (Proxy::Network { address, bits }, Kind::Tcp(ends)) => is_in(ends.peer.ip(), *address, *bits),
            (Proxy::Unix, Kind::Unix) => true,
            _ => false,
        })
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (difference, width) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(two)) => (u128::from(one.to_bits() ^ two.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(two)) => (one.to_bits() ^ two.to_bits(), 128),
        _ => return false,
    };
    // No bit of the first `bits` differs; all of them may for 0.
    difference.checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

impl FromStr for Proxy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Proxy, ValueError> {
        if text == "unix" {
            return Ok(Proxy::Unix);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network = address.parse::<IpAddr>().ok().and_then(|address| {
            let width = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
            // An IPv4-mapped network would never be met: such peers are IPv4 here.
            (address.to_canonical() == address).then_some(Proxy::Network { address, bits })
        });
        network.ok_or_else(|| {
            ValueError(format!(
                "invalid proxy '{text}': use ADDRESS, ADDRESS/BITS or unix, separated by commas"
            ))
        })
    }
}

impl FromStr for Proxies {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Proxies, ValueError> {
        Ok(Proxies(text.split(',').map(str::parse).collect::<Result<_, _>>()?))
    }
}

impl TryFrom<String> for Proxies {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Proxies, ValueError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Ends;

    fn tcp(peer: &str) -> Kind {
        Kind::Tcp(Ends { peer: peer.parse().unwrap(), local: "127.0.0.1:70".parse().unwrap() })
    }

    #[test]
    fn networks_have_their_bits() {
        let proxies: Proxies = "192.0.2.0/24,2001:db8::/32,203.0.113.7".parse().unwrap();
        for peer in ["192.0.2.255:1", "[2001:db8:ffff::1]:1", "203.0.113.7:1"] {
            assert!(proxies.name(tcp(peer)), "{peer}");
        }
        for peer in ["192.0.3.0:1", "[2001:db9::1]:1", "203.0.113.8:1", "[::1]:1"] {
            assert!(!proxies.name(tcp(peer)), "{peer}");
        }
        assert!(!proxies.name(Kind::Unix) && "unix".parse::<Proxies>().unwrap().name(Kind::Unix));
        let all: Proxies = "0.0.0.0/0".parse().unwrap();
        assert!(all.name(tcp("8.8.8.8:1")) && !all.name(tcp("[::1]:1")));
    }

    #[test]
    fn names_of_hosts_and_wrong_bits_are_none() {
        for text in
            ["", "localhost", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4,", "::ffff:1.2.3.4", "1.2.3.4:80"]
        {
            assert!(text.parse::<Proxies>().is_err(), "{text}");
        }
    }
}
