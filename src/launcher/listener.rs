//! Listening sockets: made from `--listen`, or passed by systemd; and accepting on them.

use crate::config::service::ServiceId;
use crate::connection::{Connection, NoConnection};
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, getsockname,
    sockopt,
};
use nix::sys::stat::{Mode, fchmod, fstat, umask};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use sys::{self, Errno, Ignoring};

/// Where to listen: `ADDR:PORT` (`:PORT` and `PORT` are `[::]:PORT`, dual-stack; `localhost:PORT` is
/// 127.0.0.1) or `unix:PATH[?mode=0660]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix { path: PathBuf, mode: u32 },
}

const UNIX_MODE: u32 = 0o660;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.split_once("?mode=") {
                Some((path, mode)) => (path, u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)),
                None => (rest, Some(UNIX_MODE)),
            };
            return match mode {
                Some(mode) if path.starts_with('/') => Ok(Address::Unix { path: path.into(), mode }),
                _ => Err(format!("invalid address '{text}': use unix:/PATH or unix:/PATH?mode=0660")),
            };
        }
        tcp_address(text).map(Address::Tcp).map_err(|why| {
            format!(
                "invalid address '{text}': {why}; use ADDR:PORT with a numeric address ([::1]:70), :PORT, PORT or unix:/PATH"
            )
        })
    }
}

/// A port alone, or after `:`, is that of all addresses; `localhost` is what it always is.
fn tcp_address(text: &str) -> Result<SocketAddr, String> {
    let all = |port: u16| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Ok(all(port));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_error| format!("'{port}' is no port"))?;
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_error| {
        if text.rsplit_once(':').is_none() {
            "the port is missing".to_owned()
        } else {
            "it is not a numeric address with a port (names are not looked up)".to_owned()
        }
    })
}

impl Address {
    /// Where a socket listens; None for a unix socket without a path.
    fn of(local: &SockaddrStorage) -> Option<Address> {
        if let Some(path) = local.as_unix_addr().and_then(UnixAddr::path) {
            return Some(Address::Unix { path: path.to_owned(), mode: UNIX_MODE });
        }
        let v4 = local.as_sockaddr_in().map(|v4| SocketAddr::from(SocketAddrV4::from(*v4)));
        let v6 = || local.as_sockaddr_in6().map(|v6| SocketAddr::from(SocketAddrV6::from(*v6)));
        v4.or_else(v6).map(Address::Tcp)
    }

    /// Whether a client finds both in the same place.
    pub(crate) fn is_same_place(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Tcp(one), Address::Tcp(other)) => one == other,
            (Address::Unix { path: one, .. }, Address::Unix { path: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Two of the addresses that cannot both be listened on, and what to do.
pub(crate) fn conflict(addresses: &[&Address]) -> Option<String> {
    let earlier = |index: usize| addresses.iter().take(index);
    addresses
        .iter()
        .enumerate()
        .find_map(|(index, later)| earlier(index).find_map(|earlier| conflict_of(earlier, later)))
}

fn conflict_of(one: &Address, other: &Address) -> Option<String> {
    let (first, second) = match (one, other) {
        (Address::Tcp(first), Address::Tcp(second)) => (first, second),
        (Address::Unix { path: first, .. }, Address::Unix { path: second, .. }) => {
            return (first == second).then(|| format!("{one} is given twice"));
        }
        _ => return None,
    };
    // For port 0 the kernel chooses another port each time.
    if first.port() != second.port() || first.port() == 0 {
        return None;
    }
    if first == second {
        return Some(format!("{one} is given twice"));
    }
    let covers =
        |all: &SocketAddr, some: &SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || some.is_ipv4());
    let (all, some) = match (covers(first, second), covers(second, first)) {
        (true, _) => (first, second),
        (_, true) => (second, first),
        (false, false) => return None,
    };
    let why = if all.is_ipv6() { "every IPv6 address and every IPv4 address" } else { "every IPv4 address" };
    Some(format!("{all} means {why}, so it includes {some}: give {all} alone, or addresses that differ"))
}

/// A hint for an address that cannot be bound.
fn hint(address: &Address, error: &io::Error) -> Option<String> {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match (address, errno) {
        (Address::Tcp(tcp), Errno::EADDRINUSE) => {
            Some(format!("another program listens there; ss -ltnp 'sport = :{}' names it", tcp.port()))
        }
        (Address::Tcp(_), Errno::EACCES) => {
            Some("ports below 1024 need CAP_NET_BIND_SERVICE; a socket unit can listen instead".to_owned())
        }
        (Address::Tcp(_), Errno::EADDRNOTAVAIL) => {
            Some("no interface of this host has that address; ip address lists them".to_owned())
        }
        (Address::Tcp(_), Errno::EAFNOSUPPORT) => {
            Some("this host has no IPv6: use 0.0.0.0 instead of [::]".to_owned())
        }
        (Address::Unix { .. }, _) if error.kind() == io::ErrorKind::AddrInUse => {
            Some("another program listens there".to_owned())
        }
        (Address::Unix { .. }, Errno::ENOENT) => Some("make the directory that it is in".to_owned()),
        (Address::Unix { .. }, Errno::ENAMETOOLONG) => {
            Some("the path of a unix socket has at most 107 bytes".to_owned())
        }
        _ => None,
    }
}

#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    pub(crate) address: String,
    /// The address of `--listen`; None for a passed socket.
    own: Option<Address>,
    /// The address of a passed socket.
    passed: Option<Address>,
    /// The service of its connections.
    pub(crate) service: ServiceId,
    /// A socket file that is ours: removed with this.
    own_file: Option<SocketFile>,
}

impl Listener {
    /// Binds and listens. `backlog` is what the kernel may queue (net.core.somaxconn cuts it).
    pub(crate) fn bind(address: &Address, backlog: u32, service: ServiceId) -> Result<Listener, String> {
        let failed = |error: io::Error| {
            let hint = hint(address, &error).map(|hint| format!("; hint: {hint}")).unwrap_or_default();
            format!("cannot listen on {address}: {error}{hint}")
        };
        let (fd, own_file) = match address {
            Address::Tcp(tcp) => (bind_tcp(*tcp).map_err(|errno| failed(errno.into()))?, None),
            Address::Unix { path, mode } => {
                (bind_unix(path, *mode).map_err(failed)?, Some(SocketFile::find(path).map_err(failed)?))
            }
        };
        let backlog =
            i32::try_from(backlog).ok().and_then(|n| Backlog::new(n).ok()).unwrap_or(Backlog::MAXCONN);
        socket::listen(&fd, backlog).map_err(|errno| failed(errno.into()))?;
        // Port 0 is one that the kernel has chosen.
        let local = getsockname::<SockaddrStorage>(fd.as_raw_fd());
        let local = local.ok().filter(|_| matches!(address, Address::Tcp(_)));
        Ok(Listener {
            fd,
            address: local.map_or_else(|| address.to_string(), |local| local.to_string()),
            own: Some(address.clone()),
            passed: None,
            service,
            own_file,
        })
    }

    /// A socket that systemd passed; it must listen already.
    pub(crate) fn adopt(fd: OwnedFd, name: &str, service: ServiceId) -> Result<Listener, String> {
        match socket::getsockopt(&fd, sockopt::AcceptConn) {
            Ok(true) => {}
            Ok(false) | Err(Errno::ENOTSOCK) => {
                return Err(format!(
                    "the descriptor '{name}' of LISTEN_FDS is not a listening socket: serve needs Accept=no in the socket unit"
                ));
            }
            Err(errno) => {
                return Err(format!(
                    "cannot ask whether the descriptor '{name}' of LISTEN_FDS listens: {errno}"
                ));
            }
        }
        let flags = OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFL(flags))
            .map_err(|errno| format!("cannot make the listening socket '{name}' non-blocking: {errno}"))?;
        let local: Result<SockaddrStorage, _> = getsockname(fd.as_raw_fd());
        if local.as_ref().is_ok_and(|local| local.family() == Some(AddressFamily::Unix)) {
            refuse_descriptors(&fd).map_err(|errno| {
                format!("cannot keep descriptors out of the listening socket '{name}': {errno}")
            })?;
        }
        let passed = local.as_ref().ok().and_then(Address::of);
        let address = local.map_or_else(|_errno| name.to_owned(), |local| local.to_string());
        Ok(Listener { fd, address, own: None, passed, service, own_file: None })
    }

    /// A socket that the process before this one made for `--listen`.
    pub(crate) fn take_over(fd: OwnedFd, name: &str, service: ServiceId) -> Result<Listener, String> {
        let mode = fstat(&fd).map_or(UNIX_MODE, |found| found.st_mode & 0o777);
        let mut listener = Listener::adopt(fd, name, service)?;
        listener.own = listener.passed.take().map(|address| match address {
            Address::Unix { path, .. } => Address::Unix { path, mode },
            tcp @ Address::Tcp(_) => tcp,
        });
        if let Some(Address::Unix { path, .. }) = &listener.own {
            listener.own_file = SocketFile::find(path).ok();
        }
        Ok(listener)
    }

    /// Whether it was passed, not made for `--listen`.
    pub(crate) fn is_passed(&self) -> bool {
        self.own.is_none()
    }

    /// Whether nothing has to be bound for this address of `--listen`: it is this socket's, or a socket unit's
    /// that has the same.
    pub(crate) fn has(&self, address: &Address) -> bool {
        let same = |passed: &Address| passed.is_same_place(address);
        self.own.as_ref() == Some(address) || self.passed.as_ref().is_some_and(same)
    }

    /// The socket's file is the next process's now.
    pub(crate) fn leave_file(&mut self) {
        if let Some(file) = self.own_file.take() {
            file.leave();
        }
    }

    /// The next connection; None if none waits.
    pub(crate) fn accept(&self) -> Result<Option<Result<Connection, NoConnection>>, Errno> {
        match sys::socket::accept(self.fd.as_fd()) {
            Ok(socket) => Ok(Some(Connection::from_socket(socket))),
            Err(Errno::EAGAIN) => Ok(None),
            // The peer has gone, or the network had a passing fault: accept(2), ERRORS.
            Err(
                Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::ENETDOWN
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::EOPNOTSUPP
                | Errno::ENETUNREACH
                | Errno::EPERM,
            ) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket's name in its directory: the supervisor has left the mounts in which its whole path says
/// something.
#[derive(Debug)]
pub(crate) struct SocketFile {
    directory: OwnedFd,
    name: OsString,
    /// Another process has it now.
    left: bool,
}

impl SocketFile {
    pub(crate) fn find(path: &Path) -> io::Result<SocketFile> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(parent, flags, Mode::empty())?;
        Ok(SocketFile { directory, name: name.to_owned(), left: false })
    }

    /// Leaves the file where it is.
    pub(crate) fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        unlinkat(&self.directory, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir)
            .ignoring("a socket file that stays is replaced at the next start");
    }
}

fn bind_tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(family, SockType::Stream, flags, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        // Said, because net.ipv6.bindv6only may say otherwise.
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    }
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// No connection brings descriptors (unix(7), SCM_RIGHTS). Nobody takes them, so a connection that is closed
/// with one in its queue closes that as well; and the close of a TCP socket can wait for its peer for as long
/// as its sender has said (SO_LINGER), in the supervisor. Before Linux 6.16 nothing keeps them out: see
/// SECURITY.md.
fn refuse_descriptors(socket: &OwnedFd) -> Result<(), Errno> {
    match sys::socket::refuse_descriptors(socket.as_fd()) {
        Err(Errno::ENOPROTOOPT) => Ok(()),
        refused => refused,
    }
}

pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    refuse_descriptors(&fd)?;
    // The file gets the socket's own mode, less the umask; a mode set by its path afterwards could be set on
    // another file.
    fchmod(&fd, Mode::from_bits_truncate(mode))?;
    let before = umask(Mode::empty());
    let bound = socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?);
    umask(before);
    bound?;
    Ok(fd)
}

/// Removes a socket file without a listener, which a killed supervisor has left.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::other("the path exists and is not a socket"))
        }
        Ok(_) if UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_exclude_each_other_are_found_in_either_order() {
        let found = |texts: &[&str]| {
            let addresses: Vec<Address> = texts.iter().map(|text| text.parse().unwrap()).collect();
            conflict(&addresses.iter().collect::<Vec<_>>())
        };
        for (one, other, alone) in [
            ("0.0.0.0:70", "[::]:70", "give [::]:70 alone"),
            ("127.0.0.1:70", ":70", "give [::]:70 alone"),
            ("[::1]:70", "[::]:70", "give [::]:70 alone"),
            ("0.0.0.0:70", "192.0.2.1:70", "give 0.0.0.0:70 alone"),
            (":70", "[::]:70", "given twice"),
            ("unix:/run/x", "unix:/run/x?mode=0600", "given twice"),
        ] {
            for order in [[one, other], [other, one]] {
                let why = found(&order).expect(one);
                assert!(why.contains(alone), "{order:?}: {why}");
            }
        }
        for apart in
            [["0.0.0.0:70", "[::1]:70"], ["0.0.0.0:70", "[::]:71"], ["[::]:0", "[::]:0"], [":70", "unix:/x"]]
        {
            assert_eq!(found(&apart), None, "{apart:?}");
        }
    }

    #[test]
    fn addresses_are_numeric_or_unix_paths() {
        assert_eq!(":70".parse(), Ok(Address::Tcp("[::]:70".parse().unwrap())));
        assert_eq!("127.0.0.1:7070".parse(), Ok(Address::Tcp("127.0.0.1:7070".parse().unwrap())));
        assert_eq!("7070".parse(), Ok(Address::Tcp("[::]:7070".parse().unwrap())));
        assert_eq!("localhost:7070".parse(), Ok(Address::Tcp("127.0.0.1:7070".parse().unwrap())));
        let unix = Address::Unix { path: "/run/x".into(), mode: 0o600 };
        assert_eq!("unix:/run/x?mode=0600".parse(), Ok(unix));
        for text in [
            "",
            "host",
            "localhost:x",
            "example.org:70",
            "unix:x",
            "unix:/x?mode=9",
            "unix:/x?mode=7777",
            "1.2.3.4:99999",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
