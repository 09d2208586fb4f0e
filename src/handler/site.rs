//! Who is at the two ends of the connection: our own name for menus, the peer's for the log.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::cli::Options;

/// The host and port that menus name as ours.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Site {
    /// The options win, then the address the client reached; a pipe or a terminal has none.
    pub(crate) fn find(options: &Options, connection: impl AsFd) -> Site {
        let reached = match (&options.host, options.port) {
            (Some(_), Some(_)) => None,
            _ => rustix::net::getsockname(connection).ok().and_then(|any| SocketAddr::try_from(any).ok()),
        };
        let host = match (&options.host, reached) {
            (Some(name), _) => named(name),
            (None, Some(address)) => literal(address.ip()),
            (None, None) => "localhost".to_owned(),
        };
        Site { host, port: options.port.or(reached.map(|address| address.port())).unwrap_or(70) }
    }
}

/// The peer by the socket, else as the one who accepted the connection says: `REMOTE_ADDR` of systemd and dayfly,
/// `TCPREMOTEIP` of tcpserver.
pub(crate) fn peer(connection: impl AsFd) -> String {
    let address = rustix::net::getpeername(connection).ok().flatten();
    match address.and_then(|any| SocketAddr::try_from(any).ok()) {
        Some(address) => address.ip().to_canonical().to_string(),
        None => ["REMOTE_ADDR", "TCPREMOTEIP"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_else(|| "-".to_owned()),
    }
}

/// Clients put the host of a menu line into a URL as it stands, where a bare IPv6 address would end at its first colon.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn named(name: &str) -> String {
    match name.parse::<Ipv6Addr>() {
        Ok(v6) => literal(IpAddr::V6(v6)),
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_written_as_ipv4() {
        assert_eq!(named("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_literal_ipv6_address_is_bracketed() {
        assert_eq!(named("2001:db8::1"), "[2001:db8::1]");
        assert_eq!(named("[2001:db8::1]"), "[2001:db8::1]");
    }
}
