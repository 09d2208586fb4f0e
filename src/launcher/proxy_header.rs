//! The PROXY protocol header, versions 1 and 2, as a proxy sends it ahead of a connection: who is at the
//! other end of it.
//!
//! A pure function of bytes; total, whatever they are. (HAProxy, doc/proxy-protocol.txt.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Maximum length of a header. Version 1 has its own limit. Version 2 could have 64 KiB of extensions, none
/// of which names the peer.
pub(crate) const HEADER_MAX: usize = 4096;

/// The longest line of version 1, its end included.
const LINE_MAX: usize = 107;
const LINE_BEGIN: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = SIGNATURE.len() + 4;

/// The connection that a header describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// The proxy's own connection (a health check), or a peer that has no internet address.
    ForItself,
    For {
        peer: SocketAddr,
        local: SocketAddr,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A header of this length; what follows is the peer's.
    Header {
        length: usize,
        spoken: Spoken,
    },
    /// The beginning of one.
    Incomplete,
    Malformed(&'static str),
}

pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    if begins(bytes, SIGNATURE) {
        version_2(bytes)
    } else if begins(bytes, LINE_BEGIN) {
        version_1(bytes)
    } else {
        Parsed::Malformed("its beginning matches neither version")
    }
}

/// Whether `bytes` begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`
fn version_1(bytes: &[u8]) -> Parsed {
    let line = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < LINE_MAX {
            Parsed::Incomplete
        } else {
            Parsed::Malformed("its line does not end")
        };
    };
    let spoken = std::str::from_utf8(&line[LINE_BEGIN.len().min(end)..end]).ok().and_then(spoken_1);
    match spoken {
        Some(spoken) => Parsed::Header { length: end + 2, spoken },
        None => Parsed::Malformed("its line is not valid in version 1"),
    }
}

fn spoken_1(text: &str) -> Option<Spoken> {
    let mut words = text.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Spoken::ForItself);
    }
    let address = |word: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (peer, local) = (address(words.next()?)?, address(words.next()?)?);
    let (peer_port, local_port) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    Some(Spoken::For { peer: (peer, peer_port).into(), local: (local, local_port).into() })
}

/// Digits only: the standard library would take a sign.
fn port(word: &str) -> Option<u16> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

fn version_2(bytes: &[u8]) -> Parsed {
    let Some((&[version_command, family_transport, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Parsed::Incomplete;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > HEADER_MAX {
        return Parsed::Malformed("it is too long");
    }
    let (version, command) = (version_command >> 4, version_command & 0xf);
    if version != 2 || command > 1 {
        return Parsed::Malformed("its version or command is unknown");
    }
    let Some(block) = rest.get(..length) else { return Parsed::Incomplete };
    let spoken = if command == 0 { Some(Spoken::ForItself) } else { spoken_2(family_transport, block) };
    match spoken {
        Some(spoken) => Parsed::Header { length: FIXED + length, spoken },
        None => Parsed::Malformed("its addresses are not valid in version 2"),
    }
}

fn spoken_2(family_transport: u8, block: &[u8]) -> Option<Spoken> {
    const TCP_IPV4: u8 = 0x11;
    const TCP_IPV6: u8 = 0x21;
    match family_transport {
        TCP_IPV4 => {
            let (addresses, _extensions) = block.split_first_chunk::<12>()?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            Some(ends([a, b, c, d], [e, f, g, h], ports))
        }
        TCP_IPV6 => {
            let (peer, rest) = block.split_first_chunk::<16>()?;
            let (local, rest) = rest.split_first_chunk::<16>()?;
            let (ports, _extensions) = rest.split_first_chunk::<4>()?;
            Some(ends(*peer, *local, *ports))
        }
        // Unspecified, datagrams, unix sockets: to be taken, and to say nothing of a peer.
        other if other >> 4 <= 3 && other & 0xf <= 2 => Some(Spoken::ForItself),
        _ => None,
    }
}

fn ends(peer: impl Into<IpAddr>, local: impl Into<IpAddr>, [a, b, c, d]: [u8; 4]) -> Spoken {
    let at = |address: IpAddr, port: [u8; 2]| SocketAddr::new(address, u16::from_be_bytes(port));
    Spoken::For { peer: at(peer.into(), [a, b]), local: at(local.into(), [c, d]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_(peer: &str, local: &str) -> Spoken {
        Spoken::For { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, block].concat()
    }

    const BLOCK4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 70];

    fn block6() -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        [&address("2001:db8::1")[..], &address("2001:db8::2"), &[0, 1, 0, 70]].concat()
    }

    fn headers() -> Vec<(Vec<u8>, Spoken)> {
        let with_extension = [BLOCK4, &[4, 0, 1, 0]].concat();
        vec![
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 4660 70\r\n".to_vec(),
                for_("192.0.2.1:4660", "198.51.100.1:70"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 1 70\r\n".to_vec(),
                for_("[2001:db8::1]:1", "[2001:db8::2]:70"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Spoken::ForItself),
            (b"PROXY UNKNOWN ffff::1 whatever\r\n".to_vec(), Spoken::ForItself),
            (v2(1, 0x11, BLOCK4), for_("192.0.2.1:4660", "198.51.100.1:70")),
            (v2(1, 0x11, &with_extension), for_("192.0.2.1:4660", "198.51.100.1:70")),
            (v2(1, 0x21, &block6()), for_("[2001:db8::1]:1", "[2001:db8::2]:70")),
            (v2(0, 0, &[]), Spoken::ForItself),
            (v2(0, 0x11, BLOCK4), Spoken::ForItself),
            (v2(1, 0, &[]), Spoken::ForItself),
            (v2(1, 0x31, &[7; 216]), Spoken::ForItself),
            (v2(1, 0x12, BLOCK4), Spoken::ForItself),
        ]
    }

    #[test]
    fn a_header_is_taken_to_its_end_and_no_byte_further() {
        for (header, spoken) in headers() {
            for more in [&b""[..], b"\r\n", b"PROXY ", b"/selector\r\n"] {
                let found = parse(&[&header, more].concat());
                assert_eq!(found, Parsed::Header { length: header.len(), spoken }, "{header:?}");
            }
        }
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete() {
        for (header, _) in headers() {
            for length in 0..header.len() {
                assert_eq!(parse(&header[..length]), Parsed::Incomplete, "{:?}", &header[..length]);
            }
        }
    }

    #[test]
    fn what_is_no_header_is_malformed() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        let lines: [&[u8]; 16] = [
            b"GET / HTTP/1.0\r\n",
            b"\r\nx",
            b"PROXX",
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \xff\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n",
            &long,
        ];
        let short = v2(1, 0x11, &BLOCK4[..11]);
        let (family, transport) = (v2(1, 0x41, BLOCK4), v2(1, 0x13, BLOCK4));
        let command = v2(2, 0x11, BLOCK4);
        let mut version = v2(1, 0x11, BLOCK4);
        version[12] = 0x11;
        let big = v2(1, 0x11, &[0; 5000]);
        let binary = [&short, &family, &transport, &command, &version, &big].map(Vec::as_slice);
        for bytes in lines.into_iter().chain(binary) {
            assert!(matches!(parse(bytes), Parsed::Malformed(_)), "{bytes:?}");
        }
    }

    #[test]
    fn a_header_of_version_2_has_4096_bytes_at_most_its_beginning_included() {
        let of_length = |total: usize| v2(1, 0x11, &[BLOCK4, &vec![4; total - 16 - BLOCK4.len()]].concat());
        for total in [4096 - 1, 4096] {
            let spoken = for_("192.0.2.1:4660", "198.51.100.1:70");
            assert_eq!(parse(&of_length(total)), Parsed::Header { length: total, spoken }, "{total}");
        }
        // The length at its start is enough to decide: the supervisor must not wait for a header that it
        // cannot accept.
        for total in 4096 + 1..=4096 + 16 + 1 {
            let header = of_length(total);
            for seen in [16, 4096, total] {
                assert!(matches!(parse(&header[..seen]), Parsed::Malformed(_)), "{seen} of {total}");
            }
        }
    }

    #[test]
    fn a_line_of_version_1_has_107_bytes_at_most_its_end_included() {
        let of_length = |total: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(total - 16)).into_bytes();
        assert_eq!(parse(&of_length(107)), Parsed::Header { length: 107, spoken: Spoken::ForItself });
        for total in 108..111 {
            assert!(matches!(parse(&of_length(total)), Parsed::Malformed(_)), "{total}");
        }
    }

    #[test]
    fn whatever_comes_it_answers_and_within_bounds() {
        // A deterministic generator, so that a failure can be reproduced: xorshift by Marsaglia.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        let headers = headers();
        for round in 0..200_000_usize {
            let mut bytes = headers[round % headers.len()].0.clone();
            for _ in 0..next() % 4 {
                let at = usize::from(next()) % bytes.len();
                bytes[at] = next();
            }
            bytes.truncate(usize::from(next()) % (bytes.len() + 1));
            if let Parsed::Header { length, .. } = parse(&bytes) {
                assert!(length <= bytes.len() && length <= HEADER_MAX);
            }
        }
    }
}
