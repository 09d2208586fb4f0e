//! Virtual hosts: trees of other names, chosen by the address that the client reached.
//!
//! A gopher request does not say for which host it is, and to guess it from what the same client asked
//! before goes wrong behind every shared address. So the address decides; where names share one, `/;name`
//! selects by name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::cli;

/// `"ADDRESS NAME DIR"` of the configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Vhost {
    listen: Listen,
    pub(crate) name: String,
    pub(crate) root: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
enum Listen {
    /// `-`: only as `/;name`.
    Nowhere,
    Address(IpAddr),
    Port(u16),
    Both(SocketAddr),
}

impl Vhost {
    pub(crate) fn parse(entry: &str) -> Result<Vhost, String> {
        let mut fields = entry.splitn(3, ' ').map(str::trim).filter(|field| !field.is_empty());
        let (Some(listen), Some(name), Some(root)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("{entry:?}: wants ADDRESS NAME DIR"));
        };
        let listen = listen_at(listen).ok_or(format!(
            "{listen:?}: wants an address, ADDRESS:PORT, [IPV6]:PORT, *:PORT, or - for none"
        ))?;
        if !is_host_name(name) {
            return Err(format!("{name:?} is not a host name"));
        }
        if !root.starts_with('/') {
            return Err(format!("{root:?}: wants a path that begins with /"));
        }
        Ok(Vhost { listen, name: cli::host(name.as_ref())?, root: PathBuf::from(root) })
    }

    pub(crate) fn is_at(&self, reached: SocketAddr) -> bool {
        let address = reached.ip().to_canonical();
        match self.listen {
            Listen::Nowhere => false,
            Listen::Address(wanted) => wanted == address,
            Listen::Port(wanted) => wanted == reached.port(),
            Listen::Both(wanted) => wanted.ip() == address && wanted.port() == reached.port(),
        }
    }
}

fn listen_at(field: &str) -> Option<Listen> {
    if field == "-" {
        return Some(Listen::Nowhere);
    }
    if let Some(port) = field.strip_prefix("*:") {
        return port.parse().ok().map(Listen::Port);
    }
    if let Ok(both) = field.parse::<SocketAddr>() {
        return Some(Listen::Both(SocketAddr::new(both.ip().to_canonical(), both.port())));
    }
    let address = field.strip_prefix('[').and_then(|field| field.strip_suffix(']')).unwrap_or(field);
    address.parse::<IpAddr>().ok().map(|address| Listen::Address(address.to_canonical()))
}

/// The name and the rest of a selector `/;name` or `/;name/rest`.
pub(crate) fn split(selector: &[u8]) -> Option<(&str, &[u8])> {
    let after = selector.strip_prefix(b"/").unwrap_or(selector).strip_prefix(b";")?;
    let end = after.iter().position(|&byte| byte == b'/').unwrap_or(after.len());
    let name = std::str::from_utf8(&after[..end]).ok().filter(|name| is_host_name(name))?;
    Some((name, &after[end..]))
}

/// Letters, digits, hyphens and single dots.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(entry: &str, reached: &str) -> bool {
        Vhost::parse(entry).expect(entry).is_at(reached.parse().expect(reached))
    }

    #[test]
    fn the_address_the_port_or_both_decide() {
        assert!(at("192.0.2.1 a.example /a", "192.0.2.1:70"));
        assert!(at("192.0.2.1 a.example /a", "[::ffff:192.0.2.1]:7070"));
        assert!(!at("192.0.2.1 a.example /a", "192.0.2.2:70"));
        assert!(at("*:7070 a.example /a", "192.0.2.2:7070"));
        assert!(at("[2001:db8::1]:70 a.example /a b", "[2001:db8::1]:70"));
        assert!(!at("[2001:db8::1]:70 a.example /a", "[2001:db8::1]:71"));
        assert!(at("2001:db8::1 a.example /a", "[2001:db8::1]:71"));
        assert!(!at("- a.example /a", "192.0.2.1:70"));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for entry in ["", "192.0.2.1", "192.0.2.1 a", "x a /a", "*:0x a /a", "- a..b /a", "- a_b /a", "- a a"]
        {
            assert!(Vhost::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn a_selector_names_a_host_by_a_semicolon() {
        assert_eq!(split(b"/;a.example"), Some(("a.example", &b""[..])));
        assert_eq!(split(b";a.example/x/y"), Some(("a.example", &b"/x/y"[..])));
        for selector in [&b"/x"[..], b"/;", b"/;..", b"/;a b", b"/;../x", b"/;a\xff"] {
            assert_eq!(split(selector), None, "{selector:?}");
        }
    }
}
