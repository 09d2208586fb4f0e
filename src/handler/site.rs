//! The two ends of the connection: our own name for menus, the peer's address for the log.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::mapfile::Form;
use crate::path::{self, TreePath};
use crate::settings::Settings;
use crate::users;
use crate::vhost::{self, Vhost};

/// The host and port that menus name as ours, and what our selectors begin with.
#[derive(Debug, Clone)]
pub(crate) struct Site<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The virtual host whose address the client reached.
    pub(crate) vhost: Option<&'a Vhost>,
    /// `/;name` where the selector named a virtual host, so that links lead to it again; else nothing.
    pub(crate) host_prefix: Vec<u8>,
    /// `/~name` in the tree of a user, else nothing.
    pub(crate) user_prefix: Vec<u8>,
}

impl<'a> Site<'a> {
    /// A virtual host wins, then what was set, then the address the client reached; a pipe or a terminal
    /// has none.
    pub(crate) fn find(settings: &'a Settings, connection: impl AsFd) -> Site<'a> {
        let reached = match (&settings.host, settings.port) {
            (Some(_), Some(_)) if settings.vhosts.is_empty() => None,
            _ => rustix::net::getsockname(connection).ok().and_then(|any| SocketAddr::try_from(any).ok()),
        };
        let vhost = reached.and_then(|reached| settings.vhosts.iter().find(|vhost| vhost.is_at(reached)));
        let host = match (vhost.map(|vhost| &vhost.name).or(settings.host.as_ref()), reached) {
            (Some(name), _) => named(name),
            (None, Some(address)) => literal(address.ip()),
            (None, None) => "localhost".to_owned(),
        };
        let port = settings.port.or(reached.map(|address| address.port())).unwrap_or(70);
        Site { settings, host, port, vhost, host_prefix: Vec::new(), user_prefix: Vec::new() }
    }

    /// A path of the tree as a client asks for it.
    pub(crate) fn selector(&self, in_tree: &[u8]) -> Vec<u8> {
        let whole = [&self.host_prefix, &self.user_prefix, in_tree].concat();
        match whole.strip_suffix(b"/") {
            Some(prefix) if in_tree == b"/" && !prefix.is_empty() => prefix.to_vec(),
            _ => whole,
        }
    }

    /// An absolute selector that an author wrote. It is one of the host, not of the user.
    pub(crate) fn absolute(&self, written: &[u8]) -> Vec<u8> {
        [&self.host_prefix, written].concat()
    }

    /// A relative selector that an author wrote in a map of `directory`; `None` leads out of the tree.
    /// From the tree of a user `..` leads to that of the site, and from the site's root to itself, as in a
    /// file system.
    pub(crate) fn relative(&self, directory: &TreePath, written: &[u8]) -> Option<Vec<u8>> {
        let path = match (self.user_prefix.is_empty(), directory.is_root()) {
            (true, true) if matches!(written, b".." | b"../") => b"/".to_vec(),
            (true, _) => path::resolve(directory, written)?,
            (false, _) => {
                let above =
                    TreePath::parse(&[&self.user_prefix, directory.selector().as_slice()].concat()).ok()?;
                path::resolve(&above, written)?
            }
        };
        Some(match path.strip_suffix(b"/") {
            Some(prefix) if prefix == self.user_prefix => self.selector(b"/"),
            _ => self.absolute(&path),
        })
    }

    /// Whether a host that an author names is this server.
    pub(crate) fn is_ours(&self, host: &[u8]) -> bool {
        let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(host);
        is(&self.host) || self.settings.vhosts.iter().any(|vhost| is(&vhost.name))
    }

    /// Whether a selector of ours leads to gemtext that is shown as a menu.
    pub(crate) fn is_gemtext(&self, selector: &[u8]) -> bool {
        let name = selector.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        Form::of(self.settings, name) == Some(Form::Gemtext)
    }

    /// The part of a selector that is a path of the tree; `None` leads elsewhere.
    pub(crate) fn in_tree<'s>(&self, selector: &'s [u8]) -> Option<&'s [u8]> {
        let rest = selector.strip_prefix(self.host_prefix.as_slice())?;
        let rest = rest.strip_prefix(self.user_prefix.as_slice())?;
        let leads_elsewhere = !self.user_prefix.is_empty() && !rest.is_empty() && !rest.starts_with(b"/");
        (!leads_elsewhere && !self.is_reserved(rest)).then_some(rest)
    }

    /// Whether a selector is taken for something else before a file of that name is looked for.
    pub(crate) fn is_reserved(&self, selector: &[u8]) -> bool {
        let inner = !self.user_prefix.is_empty();
        let by_name = || vhost::split(selector).is_some_and(|(name, _)| self.vhost_of(name).is_some());
        let user = || self.settings.users.is_some() && users::split(selector).is_some();
        !inner && (self.settings.stats.as_deref() == Some(selector) || user() || by_name())
    }

    pub(crate) fn vhost_of(&self, name: &str) -> Option<&'a Vhost> {
        self.settings.vhosts.iter().find(|vhost| vhost.name.eq_ignore_ascii_case(name))
    }

    /// Whether the newest come first in the listing of a directory.
    pub(crate) fn newest_first(&self, directory: &TreePath) -> bool {
        let path = directory.selector();
        self.settings.newest_first.iter().any(|above| match path.strip_prefix(above.as_slice()) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        })
    }
}

/// The peer as the program that accepted the connection says, else by the socket. `REMOTE_ADDR` is from
/// systemd and dayfly, `TCPREMOTEIP` from tcpserver. Behind a proxy only they know the client; the socket has
/// the proxy's address.
pub(crate) fn peer(connection: impl AsFd) -> String {
    let said = ["REMOTE_ADDR", "TCPREMOTEIP"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let by_socket = || {
        let address = rustix::net::getpeername(connection).ok().flatten()?;
        Some(SocketAddr::try_from(address).ok()?.ip().to_canonical().to_string())
    };
    match said {
        Some(said) => said.parse::<IpAddr>().map_or(said, |address| address.to_canonical().to_string()),
        None => by_socket().unwrap_or_else(|| "-".to_owned()),
    }
}

/// Clients put the host of a menu line into a URL as it stands, where a bare IPv6 address would end at its
/// first colon.
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
